"""The jobs of a front: a run per planned point, and one without thresholds."""

from collections.abc import Mapping
from typing import Any

from mopo_pipeline.fronts.candidates import PRIMARY_ONLY
from mopo_pipeline.fronts.jobs import Job, folder_name
from mopo_pipeline.fronts.points import PLANNED
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.train import TrainParams

NOT_DRAWN = {"evaluate": {"front_points": 0}}
"""A point's own exact fronts would be those of every other point."""


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


def jobs_of_points(plan: Mapping[str, Any], train: TrainParams, params: FrontParams) -> list[Job]:
    """A job per planned point that starts where the plan says, and the plan without thresholds where it is asked for.

    Args:
        plan: as ``plan_front`` left it.
        train: steps of a training from the reference.
        params: share of the steps of one that starts from a neighbour, and methods.
    """
    share = params.share_of_steps
    steps = None if share is None else max(1, round(share * train.fit.steps))
    jobs = [
        Job(
            point["point"],
            params.folder / folder_name(point["point"]),
            NOT_DRAWN | {"plan": {"thresholds": point["thresholds"]}},
            start=None if share is None else point["start"],
            steps=steps,
        )
        for point in plan["points"]
        if point["status"] == PLANNED
    ]
    if jobs and PRIMARY_ONLY in params.methods:
        free = dict.fromkeys(plan["objectives"][1:], 0.0)
        overrides = NOT_DRAWN | {"plan": {"thresholds": free}}
        jobs.append(Job(PRIMARY_ONLY, params.folder / PRIMARY_ONLY, overrides))
    return jobs
