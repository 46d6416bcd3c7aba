"""Commands side by side, each in a process of its own on this machine.

Threads wait for the processes, so one that dies takes nothing with it but its own result.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from mopo_pipeline.launching.launch import END_WITH_PARENT


class Processes:
    """At most ``workers`` commands at once.

    Args:
        workers: processes at once; None takes as many as there are cores.
        environment: of every process, beside this one's; one thread each unless it says otherwise.
    """

    def __init__(
        self, workers: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._threads = ThreadPoolExecutor(workers or os.cpu_count() or 1)
        self._environment = {"OMP_NUM_THREADS": "1", **(environment or {})}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._ended = threading.Lock(), False

    def submit(self, command: Sequence[str], log: Path, folder: Path) -> "Future[int]":
        """Run a Python command in ``folder``, its words in ``log``; the future is its exit code, negative where a signal ended it."""
        return self._threads.submit(self._run, list(command), log, folder)

    def _run(self, command: list[str], log: Path, folder: Path) -> int:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as words:
            with self._lock:
                if self._ended:
                    return -1
                process = subprocess.Popen(
                    [sys.executable, "-c", END_WITH_PARENT, *command],
                    cwd=folder,
                    stdout=words,
                    stderr=subprocess.STDOUT,
                    env=os.environ | self._environment,
                )
                self._running.add(process)
            code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all commands; end them where the sweep itself was stopped."""
        if kind is not None:
            with self._lock:
                self._ended = True
                for process in self._running:
                    process.terminate()
        self._threads.shutdown(cancel_futures=kind is not None)
