"""A disk that is full: how an error shows it, and which folder wants room; texts that appear whole or not at all."""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mopo_pipeline.errors import MopoError

FULL = (errno.ENOSPC, errno.EDQUOT)

SAID = re.compile(
    r"no space left on device|disk quota exceeded|os error 28\b|disk is full", re.IGNORECASE
)
"""What libraries say of it in errors of their own."""


class DiskFullError(MopoError, OSError):
    """A run could not write, for there was no room."""


def write_text(path: Path, text: str) -> None:
    """Write a text beside its place and rename it there; where that fails the old one stands, and nothing beside it."""
    staging = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.write_text(text, encoding="utf-8")
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def disk_full(error: BaseException) -> bool:
    """Whether an error, or what it came of, says that a disk is full; not one that is a line already.

    >>> disk_full(OSError(28, "No space left on device")), disk_full(OSError(2, "No such file"))
    (True, False)
    """
    return not isinstance(error, MopoError) and any(map(_says_so, _causes(error)))


def disk_error(stage: str, error: BaseException, places: Iterable[Path]) -> DiskFullError:
    """One line for it: the folders a run writes to, the fullest first, and what to do.

    Args:
        stage: that was writing; empty where none was.
        error: what was raised.
        places: folders that exist or will, of which one is full; that of the error's file comes before them.
    """
    named = [
        Path(e.filename).parent for e in _causes(error) if isinstance(e, OSError) and _named(e)
    ]
    free = {place: shutil.disk_usage(_there(place)).free for place in named[:1] or places}
    told = [
        f"{place} ({room / 2**20:,.1f} MiB free)"
        for place, room in sorted(free.items(), key=lambda item: item[1])
    ]
    return DiskFullError(
        f"{stage}{': ' if stage else ''}no space left on the disk of {', or of '.join(told)}: make room, or name another place "
        "with --params=data_root=..., and TMPDIR for what is temporary"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _says_so(error: BaseException) -> bool:
    full = isinstance(error, OSError) and error.errno in FULL
    return full or bool(SAID.search(str(error)))


def _named(error: OSError) -> bool:
    return isinstance(error.filename, str | Path) and error.errno in FULL


def _there(place: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
