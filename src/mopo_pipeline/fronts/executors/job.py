"""What a cluster's job does: one command in a process of its own, asked to begin anew where the job is preempted.

submitit pickles this callable by its name and its plain arguments; it is unpickled by the same code on another machine.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mopo_pipeline.launching.launch import END_WITH_PARENT
from mopo_pipeline.locks import HeldError, held

ONE_LOOK = 5.0
"""Seconds between two looks whether a run's folder is free."""

PATIENCE = 60.0
"""Seconds a command that is asked to end has for it, before it is killed; a killed one resumes too."""


class RunCommand:
    """Runs a Python command and waits for it; what it has done when the job is requeued is taken up by the next one."""

    def __call__(self, command: list[str], log: str, folder: str, threads: int) -> int:
        """The exit code of the command, negative where a signal ended it.

        What another job still runs in the same place ends first: a sweep that was killed leaves its jobs behind.

        Args:
            command: after the name of the interpreter.
            log: file for its words, begun anew.
            folder: it runs in.
            threads: of a process.
        """
        _wait_until_free(Path(log).parent)
        with Path(log).open("wb") as words:
            process = subprocess.Popen(
                [sys.executable, "-c", END_WITH_PARENT, *command],
                cwd=folder,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                start_new_session=True,  # a scheduler's signals to the job are for the job alone
            )
            try:
                return process.wait()
            except (
                BaseException
            ):  # SystemExit of a job that is requeued, KeyboardInterrupt of one that is cancelled
                _end(process)
                raise

    def checkpoint(self, *arguments: Any) -> Any:
        """The same command once more: it goes on from what it left, its training from its last complete checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def _wait_until_free(place: Path) -> None:
    while True:
        try:
            with held(place, ONE_LOOK):
                return
        except HeldError:
            continue


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
