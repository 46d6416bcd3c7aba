"""The part of submitit that sweeps use, for machines without it; every test that takes it takes the real one too, where it is.

A job is a process that unpickles a call and leaves what came of it; its name is the process's id, by which it is found again.
"""

import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

GENERIC = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node",
           "stderr_to_stdout"}  # fmt: skip
CLUSTERS = ("slurm", "local", "debug")


class DelayedSubmission:
    """A call to be made later."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args


class Job:
    """A process that makes a call; ``_process`` where it is this one's child."""

    def __init__(self, folder: Path, job_id: str, tasks: Sequence[int] = (0,)) -> None:
        self.job_id, self._process = job_id, None
        self.paths = SimpleNamespace(
            stderr=Path(folder) / f"{job_id}_0_log.err",
            stdout=Path(folder) / f"{job_id}_0_log.out",
            result_pickle=Path(folder) / f"{job_id}_0_result.pkl",
        )

    @property
    def state(self) -> str:
        if self.paths.result_pickle.exists():
            return "FINISHED"
        return "RUNNING" if alive(int(self.job_id)) else "INTERRUPTED"

    def done(self, force_check: bool = False) -> bool:
        return self.state != "RUNNING"

    def exception(self) -> Exception | None:
        while not self.done():
            time.sleep(0.05)
        if not self.paths.result_pickle.exists():
            return RuntimeError(f"Job {self.job_id} has not produced any output")
        outcome, told = pickle.loads(self.paths.result_pickle.read_bytes())
        return RuntimeError(told) if outcome == "error" else None

    def result(self) -> Any:
        return pickle.loads(self.paths.result_pickle.read_bytes())[1]

    def stderr(self) -> str | None:
        return self.paths.stderr.read_text() if self.paths.stderr.exists() else None

    def stdout(self) -> str | None:
        return self.paths.stdout.read_text() if self.paths.stdout.exists() else None

    def cancel(self, check: bool = True) -> None:
        if not self.done():
            os.kill(int(self.job_id), signal.SIGINT)


SlurmJob = LocalJob = Job


class AutoExecutor:
    """Starts jobs."""

    def __init__(self, folder: Path, cluster: str, **given: Any) -> None:
        assert cluster in CLUSTERS
        for name in given:
            assert name.split("_")[0] in CLUSTERS, f"received unknown arg {name}"
        self.folder, self.parameters = Path(folder), {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def update_parameters(self, **given: Any) -> None:
        for name, value in given.items():
            if name not in GENERIC and name.split("_")[0] not in CLUSTERS:
                raise NameError(f"Unknown executor in parameter '{name}'")
            assert name != "timeout_min" or isinstance(value, int), (
                f'Parameter "{name}" expected type int'
            )
        self.parameters |= given

    def submit(self, function: Callable[..., Any], *args: Any) -> Job:
        call = self.folder / f"{time.monotonic_ns()}.pkl"
        call.write_bytes(pickle.dumps((function, args)))
        process = subprocess.Popen(
            [sys.executable, "-c", f"import {__name__} as s; s.carry_out({str(call)!r})"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        CHILDREN.append(process)
        return Job(self.folder, str(process.pid))


CHILDREN: list["subprocess.Popen[bytes]"] = []


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    for child in CHILDREN:
        child.poll()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def carry_out(call: str) -> None:
    """Make the call, in the job's process; its words go to the job's files."""
    job = Job(Path(call).parent, str(os.getpid()))
    for stream, path in ((1, job.paths.stdout), (2, job.paths.stderr)):
        os.dup2(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY), stream)
    function, args = pickle.loads(Path(call).read_bytes())
    try:
        outcome = ("success", function(*args))
    except Exception:
        outcome = ("error", traceback.format_exc())
        traceback.print_exc()
    staging = job.paths.result_pickle.with_suffix(".tmp")
    staging.write_bytes(pickle.dumps(outcome))
    os.replace(staging, job.paths.result_pickle)
