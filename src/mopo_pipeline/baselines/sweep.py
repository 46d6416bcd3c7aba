"""A rival's front: one point per weights, a diverged training kept as a failed point."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import Kind, RivalPolicy, Setting, Training
from mopo_pipeline.baselines.weights import Weights, lattice, point_name
from mopo_pipeline.parameters.baselines import SweptParams, check_weights
from mopo_pipeline.policies.valued import Budget, Policy


def weights_of(params: SweptParams, objectives: tuple[str, ...]) -> tuple[Weights, ...]:
    """The weights a rival is swept over.

    Raises:
        InputError: weights that are none.
    """
    if params.weights is None:
        return lattice(len(objectives), params.divisions)
    check_weights(params.weights, objectives)
    return params.weights


def swept(
    method: str,
    kind: Kind,
    setting: Setting,
    params: SweptParams,
    train: Callable[[Weights], Sequence[Training]],
    policy: Callable[[Weights, list[Path]], tuple[Policy, Budget]],
) -> tuple[RivalPolicy, ...]:
    """One point per weights.

    Args:
        method: the rival's name.
        kind: how its policies come about.
        setting: the ground of all rivals.
        params: weights, and what is told with every point.
        train: the trainings a point rests on.
        policy: the policy they make, and what making it cost.
    """
    shared = params.model_dump(mode="json", exclude={"weights", "divisions"})
    points = []
    for weights in weights_of(params, setting.objectives):
        told = shared | {"weights": dict(zip(setting.objectives, weights, strict=True))}
        trainings = train(weights)
        make = partial(policy, weights)
        name = point_name(weights)
        points.append(point(method, kind, name, setting, told, trainings, make))
    return tuple(points)


def swept_by_training(
    method: str,
    setting: Setting,
    params: SweptParams,
    train: Callable[[Weights], Sequence[Training]],
) -> tuple[RivalPolicy, ...]:
    """One point per weights, the model that the last of its trainings left."""
    return swept(
        method,
        "trained",
        setting,
        params,
        train,
        lambda _, folders: (FolderPolicy(folders[-1]), Budget()),
    )


def point(
    method: str,
    kind: Kind,
    name: str,
    setting: Setting,
    told: dict[str, Any],
    trainings: Sequence[Training],
    policy: Callable[[list[Path]], tuple[Policy, Budget]],
) -> RivalPolicy:
    """One point, failed where a training it rests on failed."""
    failures = [f"{t.key}: {t.failure}" for t in trainings if t.failure]
    if failures:
        return RivalPolicy(
            method, kind, name, setting.seed, told, tuple(trainings), None, "failed", failures[0]
        )
    made, own = policy([t.folder for t in trainings if t.folder is not None])
    return RivalPolicy(method, kind, name, setting.seed, told, tuple(trainings), made, own=own)
