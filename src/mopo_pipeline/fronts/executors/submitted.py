"""Commands as jobs of a cluster, through submitit: SLURM's, or stand-ins of its own on this machine.

A thread per job waits for it, so that its end is a future like any other. What submitit writes to hand a job over (a pickled
call and its result) is its own and no artifact of a run.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mopo_pipeline.fronts.executors.base import LostRunError
from mopo_pipeline.fronts.executors.job import RunCommand
from mopo_pipeline.fronts.executors.record import JobRecord, given_to, read_record
from mopo_pipeline.parameters.executor import ExecutorParams

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Jobs in the cluster's queue at once where ``front.workers`` says nothing."""

OF_CONSTRUCTOR = ("max_num_timeout", "python", "max_pickle_size_gb")
"""What submitit takes when an executor is made, each with the cluster's name before it; all else is of the jobs."""

POLL = 1.0
"""Seconds between two looks at a job."""


def submitit_executor(params: ExecutorParams, files: Path) -> Any:
    """The executor of submitit that the parameters describe.

    Args:
        params: with submitit's own names.
        files: folder of its scripts and logs, which the cluster's machines share.

    Raises:
        NameError, TypeError, ValueError, AssertionError: a parameter that submitit does not take.
    """
    import submitit

    made = {k: v for k, v in params.submitit.items() if k.endswith(OF_CONSTRUCTOR)}
    executor = submitit.AutoExecutor(folder=files, cluster=params.cluster, **made)
    executor.update_parameters(**{k: v for k, v in params.submitit.items() if k not in made})
    return executor


class Submitted:
    """Jobs of a cluster.

    Args:
        params: of the executor.
        workers: jobs at once; None leaves that to the cluster.
        files: folder of submitit's scripts and logs.
    """

    def __init__(self, params: ExecutorParams, workers: int | None, files: Path) -> None:
        self._params = params
        self._executor = submitit_executor(params, files)
        at_once = 1 if params.cluster == "debug" else workers or AT_ONCE
        self._threads = ThreadPoolExecutor(at_once)
        self._jobs: set[Any] = set()
        self._lock, self._ended = threading.Lock(), threading.Event()

    def submit(self, command: Sequence[str], log: Path, folder: Path) -> "Future[int]":
        """Run a Python command in ``folder`` as a job, its words in ``log``, what is known of the job in ``job.json`` beside it."""
        return self._threads.submit(self._run, list(command), log, folder)

    def _run(self, command: list[str], log: Path, folder: Path) -> int:
        place = log.parent
        with self._lock:
            if self._ended.is_set():
                return -1
            given, job = given_to(place), self._going_on(place)
            if job is None:
                job = self._new(command, log, folder)
            self._jobs.add(job)
        record = JobRecord(self._params.cluster, job.job_id, str(job.paths.stderr), given)
        try:
            record.write(place)
        except OSError:
            job.cancel(check=False)
            raise
        while not self._ended.is_set() and not job.done():
            self._ended.wait(POLL)
        with self._lock:
            self._jobs.discard(job)
        return -1 if self._ended.is_set() else _result(job, record, place)

    def _going_on(self, place: Path) -> Any:
        """The job that an earlier sweep left in the queue or running; None where there is none, or one that does something else."""
        old = read_record(place)
        if old is None or old.lost or old.cluster != "slurm" or self._params.cluster != "slurm":
            return None
        import submitit

        job = submitit.SlurmJob(folder=Path(old.log).parent, job_id=old.job_id)
        if job.done(force_check=True):
            return None
        if old.still_given(place):
            log.info("%s goes on as %s", place.name, old)
            return job
        job.cancel(check=False)
        return None

    def _new(self, command: list[str], log: Path, folder: Path) -> Any:
        threads = int(self._params.submitit.get("cpus_per_task") or 1)
        self._executor.update_parameters(name=log.parent.name)
        try:
            return self._executor.submit(RunCommand(), command, str(log), str(folder), threads)
        except RuntimeError as error:  # submitit's own, with what sbatch said
            said = " ".join(str(error).split())
            raise LostRunError(f"{self._params.cluster} did not take the job: {said}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all jobs; cancel them where the sweep itself was stopped."""
        if kind is not None:
            self._ended.set()
            with self._lock:
                for job in self._jobs:
                    job.cancel(check=False)
        self._threads.shutdown(cancel_futures=kind is not None)


def _result(job: Any, record: JobRecord, place: Path) -> int:
    """A job's exit code.

    Raises:
        LostRunError: the job left none; says its state, its last words and where the others are.
    """
    if job.exception() is None:
        return int(job.result())
    words = (job.stderr() or job.stdout() or "").splitlines()
    last = next((line.strip() for line in reversed(words) if line.strip()), "none")
    lost = f"ended without a result ({job.state.lower()}), last words: {last[:200]}"
    with suppress(OSError):
        replace(record, lost=lost).write(place)
    raise LostRunError(f"{lost} ({record})")
