"""How the runs of sweeps stand: what each is at, what failed and why, read from what the runs leave."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.executors.record import read_record
from mopo_pipeline.fronts.jobs import CONFIG, ERROR, LOG, failure
from mopo_pipeline.locks import HOLDER, birth

SWEEPS = ("front", "ablation")
"""Folders of a data root in which runs of a sweep lie."""

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"

STATES = {"succeeded": DONE, "failed": FAILED}
"""What a run's own record says of how it ended; anything else was stopped."""


@dataclass(frozen=True)
class RunStatus:
    """How a run of a sweep stands.

    Attributes:
        name: its folder, from the data root on.
        state: "waiting", "running", "done", "failed" or "stopped".
        told: its last words, or why it failed.
        seconds: it took, or has taken so far; None where it never began or did not write down its end.
        job: of a cluster that carries it out, with its log; empty for a process of this machine.
    """

    name: str
    state: str
    told: str
    seconds: float | None
    job: str = ""


def sweep_status(root: Path) -> list[RunStatus]:
    """Every run of the sweeps in a data root, by folder."""
    found = sorted({path.parent for sweep in SWEEPS for path in _configs(root / sweep)})
    return [_status(folder, str(folder.relative_to(root))) for folder in found]


def _configs(folder: Path) -> Iterator[Path]:
    """Files that describe a run, in a sweep and in sweeps of its own runs."""
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (child / CONFIG).is_file():
            yield child / CONFIG
            for sweep in SWEEPS:
                yield from _configs(child / sweep)
        elif child.is_dir():
            yield from _configs(child)


def _status(folder: Path, name: str) -> RunStatus:
    job = read_record(folder)
    if job is None:
        return _by_run(folder, name)
    if job.lost:
        return RunStatus(name, FAILED, job.lost, None, str(job))
    return replace(_by_run(folder, name), job=str(job))


def _by_run(folder: Path, name: str) -> RunStatus:
    """How a run stands by what itself has left."""
    record, here = _last_record(folder), _held(folder)
    words = _last_words(folder / LOG)
    if record is None:
        died = bool(words) and not here
        told = failure(1, folder / LOG) if died else words
        return RunStatus(name, FAILED if died else WAITING, told, None)
    started = datetime.fromisoformat(record["started"])
    if record["status"] == "running" and here:
        so_far = (datetime.now(UTC) - started).total_seconds()
        return RunStatus(name, RUNNING, words, max(so_far, 0.0))  # a clock may have been set back
    if record["status"] == "running" and words.startswith(
        ERROR
    ):  # a full disk takes no record of it
        return RunStatus(name, FAILED, failure(1, folder / LOG), None)
    state = STATES.get(record["status"], STOPPED)
    told = {FAILED: " ".join(str(record.get("error", "")).split()), STOPPED: words}.get(state, "")
    return RunStatus(name, state, told, _took(record, started))


def _took(record: Mapping[str, Any], started: datetime) -> float | None:
    """Seconds of a run by its own clock, which no one sets; by the machine's where the record is of an earlier version."""
    if "seconds" in record:
        return float(record["seconds"])
    ended = record.get("finished")
    return None if ended is None else (datetime.fromisoformat(ended) - started).total_seconds()


def _last_words(log: Path) -> str:
    """The last line a run wrote; empty where it wrote none."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _last_record(folder: Path) -> dict[str, Any] | None:
    """What the latest run wrote down of itself, by its number and then its name, which a clock gave; None where none can be read."""
    records = []
    for path in sorted((folder / "08_reporting" / "runs").glob("*.json")):
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if "status" in record:
            records.append(record)
    return max(reversed(records), key=lambda record: record.get("nth", 0), default=None)


def _held(folder: Path) -> bool:
    """Whether the process that says it holds a folder is there; of another machine's that is not known, and believed."""
    try:
        said = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        if said["host"] != platform.node():
            return True
        pid = int(said["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return said.get("born", "") in ("", birth(pid))
