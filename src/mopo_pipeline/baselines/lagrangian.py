"""A Lagrangian policy gradient: GRPO on fresh answers, thresholds on mean win rates held by multipliers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.best_of_n import judge_of
from mopo_pipeline.baselines.multipliers import NAME
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.sweep import point
from mopo_pipeline.baselines.trained import stored
from mopo_pipeline.parameters.baselines import LagrangianParams, check_batch, check_complete
from mopo_pipeline.policies.valued import Budget


def train(setting: Setting, params: LagrangianParams) -> tuple[RivalPolicy, ...]:
    """A training for each thresholds.

    Raises:
        InputError: thresholds that are not those of the constrained objectives, a batch that answers to a prompt do not
            fill, or no judge.
    """
    judge_of(setting, NAME)
    check_batch(params.answers, setting.fit.batch_size * setting.fit.accumulation)
    points = []
    for thresholds in params.thresholds:
        asked = thresholds_of(setting, thresholds)
        told = params.model_dump(mode="json", exclude={"thresholds"})
        trained = stored(
            setting,
            NAME,
            "mopo_pipeline.baselines.grpo",
            told | {"thresholds": asked.tolist()},
            {},
            partial(_fit, setting, params, asked),
        )
        name = ",".join(f"{objective}={value:.4g}" for objective, value in thresholds.items())
        told |= {"thresholds": dict(thresholds)}
        points.append(point(NAME, "trained", name, setting, told, [trained], _folder_policy))
    return tuple(points)


def _folder_policy(folders: list[Path]) -> tuple[FolderPolicy, Budget]:
    return FolderPolicy(folders[0]), Budget()


def _fit(setting: Setting, params: LagrangianParams, thresholds: Array, target: Path) -> Budget:
    """Train with thresholds (K-1,)."""
    from mopo_pipeline.baselines.grpo import fit_grpo

    return fit_grpo(setting, params, thresholds, target)


def thresholds_of(setting: Setting, thresholds: Mapping[str, float]) -> Array:
    """Thresholds in the order of the constrained objectives, (K-1,).

    Raises:
        InputError: one is missing, or belongs to no constrained objective.
    """
    names = setting.objectives[1:]
    check_complete(thresholds, names)
    return np.array([thresholds[name] for name in names])
