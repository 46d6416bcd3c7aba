"""Rivals as candidates: what `baselines` trains, in the words of `fronts`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.candidates import Candidate
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.front import COMPARED, FrontParams
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.parameters.train import TrainParams

if TYPE_CHECKING:
    from mopo_pipeline.baselines.setting import RivalPolicy, Setting
    from mopo_pipeline.judges.base import Judge


@dataclass(frozen=True)
class Training:
    """The ground of all trainings.

    Attributes:
        reference: directory of the reference policy.
        responses: every response with its split.
        comparisons: labelled pairs with their split.
        task: objectives and seed.
        context: tokens of prompt and response.
        train: length, batch and optimiser of ours, and of theirs.
        preference_model: fitted on the training labels.
    """

    reference: Path
    responses: pd.DataFrame
    comparisons: pd.DataFrame
    task: TaskParams
    context: int
    train: TrainParams
    preference_model: Path


def steering_judge(
    train: TrainParams, objectives: tuple[str, ...], preference_model: str | Path
) -> "Judge":
    """Who tells rivals what answers are worth: the judge that our fresh responses would have.

    The one that values policies stays out of their making, theirs as ours.
    """
    from mopo_pipeline.training.fresh_judge import fresh_judge

    lag = train.lag if isinstance(train.lag, FreshLag) else FreshLag()
    return fresh_judge(lag, objectives, preference_model)


def rival_candidates(training: Training, params: FrontParams) -> list[Candidate]:
    """All points of the rivals that ``front.methods`` names; one that this data cannot train is a failed point."""
    names = [name for name in params.methods if name not in COMPARED]
    if not names:
        return []
    from mopo_pipeline.baselines.setting import Setting

    setting = Setting(
        reference=training.reference,
        responses=training.responses,
        comparisons=training.comparisons,
        objectives=training.task.names,
        fit=training.train.fit.over(int((training.responses["split"] == "train").sum())),
        seed=training.task.seed,
        work_dir=params.folder / "rivals",
        judge=steering_judge(training.train, training.task.names, training.preference_model),
        context=training.context,
        lora=training.train.lora,
        corner=params.hypervolume_reference,
    )
    found: list[Candidate] = []
    for name in names:
        found += paid_once(_points(name, setting, params.rivals.get(name, {})))
    return found


def paid_once(points: "Iterable[RivalPolicy]") -> list[Candidate]:
    """The points of one rival's front: a training that several rest on is paid by the first.

    What another rival has trained already is paid here again: each front costs what it would cost alone.
    """
    trained: set[str] = set()
    return [_candidate(point, trained) for point in points]


def _points(
    name: str, setting: "Setting", hyperparameters: Mapping[str, Any]
) -> tuple["RivalPolicy", ...]:
    """A rival's points; the others, and ours, are not lost with one that cannot be trained."""
    from mopo_pipeline.baselines.registry import train_rival
    from mopo_pipeline.baselines.setting import RivalPolicy

    try:
        return train_rival(name, setting, hyperparameters)
    except InputError as error:
        failed = RivalPolicy(name, "trained", "none", setting.seed, hyperparameters, (), None)
        return (replace(failed, status="failed", reason=str(error)),)


def _candidate(point: "RivalPolicy", trained: set[str]) -> Candidate:
    """A rival's point; a training that several rest on is paid by the first, those ``trained`` already by none."""
    new = {training.key: training.budget for training in point.trainings}
    spent = sum((new[key] for key in new.keys() - trained), point.own)
    trained.update(new)
    return Candidate(
        point.method,
        point.kind,
        point.point,
        point.seed,
        point.policy,
        point.status,
        point.reason,
        hyperparameters=point.hyperparameters,
        spent=spent,
    )
