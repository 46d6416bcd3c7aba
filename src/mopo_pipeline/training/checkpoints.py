"""Checkpoints of a run: the newest undamaged one, and what a full disk leaves."""

import logging
import shutil
from pathlib import Path

from mopo_pipeline.errors import MopoError
from mopo_pipeline.language.sealed import damage

log = logging.getLogger(__name__)


class WriteError(MopoError, OSError):
    """A file could not be written, most often because the disk is full."""


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
