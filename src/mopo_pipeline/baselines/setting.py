"""What every rival is given, and what it hands back with what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mopo_pipeline.judges.base import Judge
from mopo_pipeline.parameters.fit import FixedFit, LoraParams
from mopo_pipeline.policies.valued import Budget, Policy

Kind = Literal["trained", "interpolated", "decode_time"]
Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Setting:
    """The same ground for all rivals.

    Attributes:
        reference: directory of the reference policy, where every training starts.
        responses: every response with its split; rivals see those of ``train``.
        comparisons: labelled pairs with their split; rivals see those of ``train``.
        objectives: K names, the primary first.
        fit: length, batch and optimiser of one training; its learning rate is ours, of which a rival takes its
            share unless it is given one. A pair is two of the batch's sequences.
        seed: of initial adapters, order of pairs and draws.
        work_dir: where trainings lie; one that is there is not trained again.
        judge: who scores answers for rivals that need scores; None where there is none.
        context: tokens of prompt and response; None cuts nothing.
        lora: adapters instead of full weights.
        corner: every coordinate of the reference point of the front's hypervolume, by which a grid is judged.
    """

    reference: Path
    responses: pd.DataFrame
    comparisons: pd.DataFrame
    objectives: tuple[str, ...]
    fit: FixedFit
    seed: int
    work_dir: Path
    judge: Judge | None = None
    context: int | None = None
    lora: LoraParams | None = None
    corner: float = 0.0


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        key: name of its directory; equal keys are the same training.
        folder: what it left; None where it failed.
        budget: what it cost.
        failure: why it left nothing, empty where it did.
    """

    key: str
    folder: Path | None
    budget: Budget
    failure: str = ""


@dataclass(frozen=True)
class RivalPolicy:
    """A point of a rival's front.

    Attributes:
        method: the rival's name.
        kind: how the policy comes about; kinds are never mixed within one front.
        point: unique within method and seed.
        seed: of the setting.
        hyperparameters: JSON-ready.
        trainings: every training it rests on; several points may rest on the same ones.
        policy: None unless ``done``.
        status: ``failed`` where a training diverged, ``skipped`` where the method has no such point.
        reason: why it is not done.
    """

    method: str
    kind: Kind
    point: str
    seed: int
    hyperparameters: Mapping[str, Any]
    trainings: tuple[Training, ...]
    policy: Policy | None
    status: Status = "done"
    reason: str = ""
    own: Budget = field(default_factory=Budget)

    @property
    def budget(self) -> Budget:
        """What this point alone would cost: all its trainings, and what was spent on itself."""
        return sum((training.budget for training in self.trainings), self.own)


def total_budget(policies: Sequence[RivalPolicy]) -> Budget:
    """What a whole front cost: a training that several points share counts once."""
    once = {training.key: training.budget for p in policies for training in p.trainings}
    return sum([*once.values(), *(p.own for p in policies)], Budget())
