"""Checkpoints of a run: what stands in them beside the model, the newest undamaged one, a full disk."""

import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import MopoError
from mopo_pipeline.language.sealed import damage
from mopo_pipeline.mopo.schedule.state import LagState

log = logging.getLogger(__name__)


STATE_FILE, FRESH_FILE = "mopo_state.safetensors", "fresh_rows.json"

FIRST, FIRST_VALIDATION = "first_logprob", "first_validation"

_WRITER = re.compile("PytorchStreamWriter|inline_container")
"""How torch.save says that it could not write."""


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


def write_error(target: Path, error: Exception, resume: str = "") -> WriteError:
    """Remove what was written of ``target``; say where, why, and how much room there was.

    Args:
        target: a checkpoint, or what is copied from one.
        error: that writing raised.
        resume: what the next run does; found out by the checkpoints beside the target where nothing is said.
    """
    directory = target.parent
    disk = shutil.disk_usage(directory)
    shutil.rmtree(target, ignore_errors=True)
    if not resume:
        kept = last_complete_checkpoint(directory)
        resume = (
            f"{kept.name} is kept and the next run resumes there"
            if kept
            else "the next run begins anew"
        )
    reason = error.args[0][0][-1] if isinstance(error, shutil.Error) else error
    return WriteError(
        f"{target.name} could not be written to {directory} ({str(reason).splitlines()[0]}); {disk.free / 2**20:,.0f} MiB "
        f"of {disk.total / 2**20:,.0f} MiB were free: make room or move work_dir; {resume}"
    )


@dataclass(frozen=True)
class RunState:
    """What decides the next step beyond model and optimiser.

    Attributes:
        lag: weights, reference and thresholds in force.
        first_logprob: (N,) log pi of the data's rows before the first step.
        fresh: the responses trained on, where the policy drew them; else None.
        first_validation: (n,) log pi of labelled validation answers before the first step, where they are looked at.
    """

    lag: LagState
    first_logprob: Array
    fresh: dict[str, Any] | None
    first_validation: Array | None = None

    def write(self, directory: Path) -> None:
        """Write to a checkpoint's directory."""
        arrays = self.lag.arrays() | {FIRST: self.first_logprob}
        if self.first_validation is not None:
            arrays[FIRST_VALIDATION] = self.first_validation
        save_file(arrays, str(directory / STATE_FILE))
        if self.fresh is not None:
            (directory / FRESH_FILE).write_text(json.dumps(self.fresh), encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> "RunState":
        """What ``write`` wrote."""
        arrays = load_file(str(directory / STATE_FILE))
        first, fresh = arrays.pop(FIRST), directory / FRESH_FILE
        validation = arrays.pop(FIRST_VALIDATION, None)
        drawn = json.loads(fresh.read_text(encoding="utf-8")) if fresh.is_file() else None
        return cls(LagState.from_arrays(arrays), first, drawn, validation)


@contextmanager
def written_whole(target: Path) -> Iterator[None]:
    """Turn what a full disk raises into one line, and remove what it cut short.

    Raises:
        WriteError: ``target`` could not be written.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _WRITER.search(str(error)):
            raise
        raise write_error(target, error) from error
