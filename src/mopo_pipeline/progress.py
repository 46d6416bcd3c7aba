"""Progress bars with an estimated time of arrival."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Open a progress display: description, bar, done/total, elapsed, remaining."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    ) as progress:
        yield progress


def show_hub_progress(shown: bool) -> None:
    """Turn the bars of transformers and the model hub on for downloads, off for local files."""
    from transformers.utils import logging

    if shown:
        logging.enable_progress_bar()
    else:
        logging.disable_progress_bar()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` while showing how many are done and how long the rest will take."""
    if total is None:
        items = list(items)
        total = len(items)
    with progress_bar() as progress:
        yield from progress.track(items, total=total, description=description)
