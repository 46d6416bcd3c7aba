"""A run directory has one run at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.processes import rank_and_world
from mopo_pipeline.locks import HeldError, held

PATIENCE = 60.0
"""Seconds to wait for a run that is ending; the processes of a killed one need a moment."""


@contextmanager
def sole_run(directory: Path) -> Iterator[None]:
    """Hold a run directory; the lock ends with the process, however it ends.

    Raises:
        InputError: another process goes on training there.
    """
    if rank_and_world()[0] != 0:
        yield
        return
    try:
        with held(directory, PATIENCE):
            yield
    except HeldError as error:
        raise InputError(f"{error} is training in {directory}: wait for it or end it") from None
