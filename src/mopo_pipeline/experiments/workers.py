"""Many small independent solves, over all processor cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from mopo_pipeline.progress import track

Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK = 10
"""Tasks handed to a process at a time."""


def for_each(
    function: Callable[[Task], Result], tasks: Sequence[Task], description: str
) -> list[Result]:
    """Results in the order of the tasks, whatever the number of processes.

    Args:
        function: a function of a module, or a partial of one; it draws from nothing it shares.
        tasks: its arguments.
        description: of the progress bar.
    """
    workers = min(os.cpu_count() or 1, -(-len(tasks) // CHUNK))
    if workers <= 1:
        return [function(task) for task in track(tasks, description)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        results = pool.map(function, tasks, chunksize=CHUNK)
        return list(track(results, description, total=len(tasks)))
