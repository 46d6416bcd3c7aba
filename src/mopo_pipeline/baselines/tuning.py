"""A rival's own learning rate and temperature: the best of a small grid by the labels of the validation split."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.baselines import SweptParams, TuningParams
from mopo_pipeline.policies.validated import check_labelled, validation_hypervolume
from mopo_pipeline.policies.valued import Budget

Points = tuple[RivalPolicy, ...]
Train = Callable[[Mapping[str, Any]], Points]

TUNED = "tuned_over"
"""The key beside a rival's hyperparameters that says what was found on the grid."""


def tuned(
    setting: Setting,
    model: type[StrictModel],
    given: Mapping[str, Any],
    grid: TuningParams,
    train: Train,
) -> Points:
    """A rival's front at each point of the grid, the one with the greatest hypervolume by validation labels.

    It rests on all trainings of the grid. What the rival does not take, or was given, is not varied.

    Args:
        setting: the ground of all rivals.
        model: the rival's parameter model.
        given: its hyperparameters.
        grid: what is tried.
        train: trains the rival with hyperparameters.

    Raises:
        InputError: the rival is not swept over weights, the validation split lacks labels, or every training
            of the grid failed.
    """
    if not issubclass(model, SweptParams):
        raise InputError("only rivals that are swept over weights can be tuned: remove tuning")
    choices = {"learning_rate": grid.learning_rates, "beta": grid.betas}
    varied = {n: c for n, c in choices.items() if n in model.model_fields and n not in given}
    if not varied:
        return train(given)
    check_labelled(setting.comparisons, setting.objectives)
    tried = [dict(zip(varied, one, strict=True)) for one in product(*varied.values())]
    fronts = [train({**given, **one}) for one in tried]
    worth = [_worth(setting, points) for points in fronts]
    if all(volume is None for volume in worth):
        raise InputError(f"every training of the grid failed; the first: {fronts[0][0].reason}")
    best = max(range(len(tried)), key=lambda i: -1.0 if (volume := worth[i]) is None else volume)
    told = [{**one, "hypervolume": volume} for one, volume in zip(tried, worth, strict=True)]
    return _paying(fronts.pop(best), fronts, told)


def _worth(setting: Setting, points: Points) -> float | None:
    return validation_hypervolume(
        [point.policy for point in points if point.policy is not None],
        FolderPolicy(setting.reference),
        setting.responses,
        setting.comparisons,
        setting.objectives,
        setting.corner,
    )


def _paying(chosen: Points, others: list[Points], told: list[dict[str, Any]]) -> Points:
    """The chosen front: every point rests on the grid's trainings too, the first bears what else the others cost."""
    left = [point for points in others for point in points]
    trainings = {t.key: t for point in left for t in point.trainings}
    own = sum((point.own for point in left), Budget())
    return tuple(
        replace(
            point,
            hyperparameters={**point.hyperparameters, TUNED: told},
            trainings=tuple(({t.key: t for t in point.trainings} | trainings).values()),
            own=point.own if place else point.own + own,
        )
        for place, point in enumerate(chosen)
    )
