"""Which files of a run were written to their end: checkpoints and the final model."""

import json
import logging
import os
import shutil
from pathlib import Path

from mopo_pipeline.errors import MopoError

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
"""Written last; names every file beside it and its size."""


class WriteError(MopoError, OSError):
    """A file could not be written, most often because the disk is full."""


def apply_umask(directory: Path) -> None:
    """Give a directory the permissions the user's umask says; libraries write theirs for the owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (directory, *directory.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def seal(directory: Path) -> None:
    """Write the manifest of a directory that is complete, readable for whom the user lets read."""
    apply_umask(directory)
    sizes = {
        str(p.relative_to(directory)): p.stat().st_size
        for p in sorted(directory.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    (directory / MANIFEST).write_text(json.dumps(sizes, indent=1), encoding="utf-8")


def damage(directory: Path) -> str | None:
    """What is wrong with a sealed directory, or None.

    A process that dies while writing leaves no manifest; a machine that dies may leave files shorter
    than the manifest says.
    """
    try:
        sizes = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was not written to its end"
    for name, size in sizes.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes of {size}"
    return None


def last_complete_checkpoint(directory: Path) -> Path | None:
    """The newest undamaged checkpoint; damaged ones are named and skipped."""
    found = sorted(
        (p for p in directory.glob("checkpoint-*") if p.name.removeprefix("checkpoint-").isdigit()),
        key=lambda p: int(p.name.removeprefix("checkpoint-")),
        reverse=True,
    )
    for checkpoint in found:
        reason = damage(checkpoint)
        if reason is None:
            return checkpoint
        log.warning("skipping %s: %s", checkpoint, reason)
    return None


def write_error(target: Path, error: Exception) -> WriteError:
    """Remove what was written of ``target``; say where, why, and how much room there was."""
    directory = target.parent
    disk = shutil.disk_usage(directory)
    shutil.rmtree(target, ignore_errors=True)
    kept = last_complete_checkpoint(directory)
    resume = (
        f"{kept.name} is kept and the next run resumes there"
        if kept
        else "the next run begins anew"
    )
    return WriteError(
        f"{target.name} could not be written to {directory} ({str(error).splitlines()[0]}); {disk.free / 2**20:,.0f} MiB "
        f"of {disk.total / 2**20:,.0f} MiB were free: make room or move work_dir; {resume}"
    )
