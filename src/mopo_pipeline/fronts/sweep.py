"""Jobs with their starts: each begins when the policy it starts from is there, as many at once as there is room for."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from mopo_pipeline.fronts.executors.base import Executor, LostRunError
from mopo_pipeline.fronts.jobs import (
    DONE,
    FAILED,
    LOG,
    Job,
    Outcome,
    failure,
    forget,
    share,
    write_config,
)
from mopo_pipeline.fronts.made import logged_seconds
from mopo_pipeline.parameters.front import SweepRun

log = logging.getLogger(__name__)

POLICY = Path("06_models") / "policy"
LOOKS = Path("03_primary") / "looks"
STALE = "--from-nodes="
"""In what a run says that finds an artifact of other parameters or code."""


def share_looks(root: Path, folder: Path) -> None:
    """All points look at one test split, so they write their looks down in one place; the link survives a move of ``root``."""
    looks, link = root / LOOKS, folder / LOOKS
    looks.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(looks, link.parent), target_is_directory=True)


def run_jobs(
    jobs: Sequence[Job], run: SweepRun, root: Path, executor: Executor
) -> dict[str, Outcome]:
    """Run every job; one that fails costs those that would start from it their start, nothing else.

    Args:
        jobs: with unique names; a start names another one of them.
        run: that sweeps.
        root: data root of the shared artifacts.
        executor: that carries them out; ended with the last of them.
    """
    outcomes: dict[str, Outcome] = {}
    waiting = {job.name: job for job in jobs}
    running: dict[Future[int], tuple[Job, Job | None, bool]] = {}
    with executor:
        while waiting or running:
            for job in [j for j in waiting.values() if j.start is None or j.start in outcomes]:
                del waiting[job.name]
                start = trained_start(job, jobs, outcomes)
                running[_submitted(executor, job, run, root, start)] = (job, start, False)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job, start, again = running.pop(future)
                outcome = _outcome(job, start, future)
                if outcome.status == FAILED and STALE in outcome.reason and not again:
                    anew = _submitted(executor, job, run, root, start, forgetful=True)
                    running[anew] = (job, start, True)
                    continue
                outcomes[job.name] = outcome
                _tell(outcome, len(outcomes), len(jobs))
    return {job.name: outcomes[job.name] for job in jobs}


def trained_start(job: Job, jobs: Sequence[Job], outcomes: Mapping[str, Outcome]) -> Job | None:
    """The nearest forebear that was trained; None is the reference."""
    by_name = {other.name: other for other in jobs}
    start = job.start
    while start is not None and outcomes[start].status != DONE:
        start = by_name[start].start
    return None if start is None else by_name[start]


def _submitted(
    executor: Executor,
    job: Job,
    run: SweepRun,
    root: Path,
    start: Job | None,
    *,
    forgetful: bool = False,
) -> "Future[int]":
    """A job under way; what cannot be written for it is its own failure and nobody else's."""
    try:
        if forgetful:
            forget(job.folder, job.shares)
        return executor.submit(
            _prepared(job, run, root, start), job.folder / LOG, Path(run.project)
        )
    except OSError as error:
        failed: Future[int] = Future()
        failed.set_exception(error)
        return failed


def _prepared(job: Job, run: SweepRun, root: Path, start: Job | None) -> list[str]:
    """The command of a job whose folder holds what it shares and its parameters."""
    if job.upstream:
        share(root, job.folder, job.shares)
        share_looks(root, job.folder)
    params: dict[str, Any] = {}
    if start is not None:
        policy = (start.folder / POLICY).resolve()
        params = {"train": {"start": str(policy)}}
        if job.steps is not None:
            params["train"]["fit"] = {"steps": job.steps}
    return write_config(job, run, params)


def _outcome(job: Job, start: Job | None, ended: "Future[int]") -> Outcome:
    folder, begun = str(job.folder.resolve()), None if start is None else start.name
    try:
        code = ended.result()
    except (OSError, LostRunError) as error:
        reason = str(error) if isinstance(error, LostRunError) else f"could not begin: {error}"
        return Outcome(job.name, FAILED, reason, folder, begun)
    if code:
        return Outcome(job.name, FAILED, failure(code, job.folder / LOG), folder, begun)
    return Outcome(job.name, DONE, "", folder, begun, training_seconds(job.folder))


def training_seconds(folder: Path) -> float | None:
    """Seconds of the training that left a run's policy: its longest attempt, or its log where a killed attempt is part of it; None where neither says.

    A later attempt takes what is there; a log goes on from the checkpoint, with the seconds before it.
    """
    spent = []
    for path in sorted((folder / "08_reporting" / "runs").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # of a run that was killed while it wrote
            continue
        spent.append(record.get("node_seconds", {}).get("train.train_policy"))
    known = [seconds for seconds in (*spent, logged_seconds(folder)) if seconds is not None]
    return max(known, default=None)


def _tell(outcome: Outcome, done: int, of: int) -> None:
    took = "" if outcome.seconds is None else f", trained in {outcome.seconds:.0f} s"
    if outcome.status == DONE:
        log.info("%s is done (%d of %d)%s", outcome.name, done, of, took)
    else:
        log.warning("%s failed (%d of %d): %s", outcome.name, done, of, outcome.reason)
