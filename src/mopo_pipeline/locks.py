"""Folders that have one run at a time. A lock ends with its process, however that ends."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".lock.json"
"""The lock and, beside it, who holds it."""

ENDED = "ended"
"""What stands for the birth of a process that is there by its number alone."""


class HeldError(Exception):
    """Another process holds the folder.

    Attributes:
        holder: ``pid``, ``host``, ``started`` and what else it said of itself; empty where unknown.
    """

    def __init__(self, holder: dict[str, str]) -> None:
        self.holder = holder
        super().__init__(f"held by {holder or 'another process'}")

    def __str__(self) -> str:
        """Process, machine and time, as far as known."""
        known = self.holder
        if not known:
            return "another process"
        return f"process {known['pid']} on {known['host']}, started {known['started']}"


@contextmanager
def held(folder: Path, patience: float = 0.0, **facts: str) -> Iterator[None]:
    """Hold ``folder``, which is made if need be.

    Args:
        folder: what others shall not hold at the same time.
        patience: seconds to wait for another holder that is ending.
        facts: what this holder says of itself, beside process, machine and time.

    Raises:
        HeldError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / HOLDER
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire(poll_interval=0.2)
    except Timeout:
        raise HeldError(_read(holder)) from None
    try:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        pid = os.getpid()
        said = {
            "pid": str(pid),
            "born": birth(pid),
            "host": platform.node(),
            "started": started,
            **facts,
        }
        holder.write_text(json.dumps(said), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def birth(pid: int) -> str:
    """When a process of this machine began, by no clock that can be set: which boot, and ticks since; empty where not known.

    Its number alone may be another process's by now, or that of one that has ended and that nobody has asked for its
    exit code, as in a container whose first process never does.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return ENDED if state in "ZX" else f"{boot} {rest[18]}"


def _read(holder: Path) -> dict[str, str]:
    try:
        said: dict[str, str] = json.loads(holder.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said
