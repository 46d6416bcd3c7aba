"""The jobs of a front: a run per planned point, and one without thresholds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mopo_pipeline.fronts.candidates import MOPO, PRIMARY_ONLY
from mopo_pipeline.fronts.honest import warn_of_moving
from mopo_pipeline.fronts.jobs import Job, folder_name, merged
from mopo_pipeline.fronts.overrides import overrides, shared_by
from mopo_pipeline.fronts.points import PLANNED
from mopo_pipeline.fronts.tuning import UNTUNED, Tuned, folder_of, settings_of
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.train import TrainParams


def seed_name(seed: int) -> str:
    """What the front of another seed is called, and its folder."""
    return f"seed-{seed}"


def jobs_of_seeds(seed: int, params: FrontParams) -> list[Job]:
    """A whole front, from its data on, for every seed but the run's own, ``seed``."""
    return [
        Job(
            seed_name(other),
            params.folder / seed_name(other),
            {"task": {"seed": other}, "front": {"seeds": []}},
            pipelines=("front",),
            upstream=(),
        )
        for other in params.seeds
        if other != seed
    ]


def job_name(method: str, point: str) -> str:
    """What the job of a method's point is called: ours by the point alone."""
    return point if method == MOPO else f"{method}/{point}"


def jobs_of_points(
    plan: Mapping[str, Any], train: TrainParams, params: FrontParams, tuned: Tuned = UNTUNED
) -> list[Job]:
    """A job per planned point and variant that starts where the plan says, and the plan without thresholds where it is asked for.

    Args:
        plan: as ``plan_front`` left it.
        train: steps of a training from the reference.
        params: share of the steps of one that starts from a neighbour, variants and methods.
        tuned: what all are trained with, unless a variant says otherwise; the runs it was found by are those of ours.
    """
    given: dict[str, dict[str, Any]] = {MOPO: {}} | params.variants
    methods = {name: {**tuned.setting, **setting} for name, setting in given.items()}
    planned = [point for point in plan["points"] if point["status"] == PLANNED]
    for name, setting in params.variants.items():
        warn_of_moving(name, setting)
    jobs = [
        _job(method, point, setting, steps_of(setting, train, plan["rows"]), params)
        for method, setting in methods.items()
        for point in planned
    ]
    if jobs and PRIMARY_ONLY in params.methods:
        free = dict.fromkeys(plan["objectives"][1:], 0.0)
        own = merged(overrides(tuned.setting), {"plan": {"thresholds": free}})
        jobs.append(Job(PRIMARY_ONLY, params.folder / PRIMARY_ONLY, own))
    if tuned.folder is None:
        return jobs
    ours = {point["point"] for point in planned}
    return [replace(j, folder=tuned.folder / j.folder.name) if j.name in ours else j for j in jobs]


def jobs_of_tuning(plan: Mapping[str, Any], train: TrainParams, params: FrontParams) -> list[Job]:
    """A job per planned point and setting of the grid, which trains alone: what is evaluated has looked at the test split.

    Args:
        plan: as ``plan_front`` left it.
        train: steps of a training from the reference.
        params: with the grid.
    """
    made = [
        (name, _job(name, point, setting, steps_of(setting, train, plan["rows"]), params))
        for name, setting in settings_of(params).items()
        for point in plan["points"]
        if point["status"] == PLANNED
    ]
    return [
        replace(job, folder=folder_of(name, params) / job.folder.name, pipelines=("train",))
        for name, job in made
    ]


def steps_of(setting: Mapping[str, Any], train: TrainParams, rows: int) -> int:
    """Steps of a training from the reference, with what a variant changes of its length."""
    fit = overrides(setting).get("train", {}).get("fit", {})
    return train.fit.model_copy(update=fit).over(rows).steps


def _job(
    method: str,
    point: Mapping[str, Any],
    setting: Mapping[str, Any],
    steps: int,
    params: FrontParams,
) -> Job:
    share, own = params.share_of_steps, {"plan": {"thresholds": point["thresholds"]}}
    folder = params.folder if method == MOPO else params.folder / method
    start = None if share is None else point["start"]
    return Job(
        job_name(method, point["point"]),
        folder / folder_name(point["point"]),
        merged(overrides(setting), own),
        start=None if start is None else job_name(method, start),
        steps=None if share is None else max(1, round(share * steps)),
        upstream=shared_by(setting),
    )
