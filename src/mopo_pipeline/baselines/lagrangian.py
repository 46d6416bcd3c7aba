"""A Lagrangian policy gradient: GRPO on fresh answers, thresholds on mean win rates held by multipliers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.best_of_n import judge_of
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import Budget, RivalPolicy, Setting
from mopo_pipeline.baselines.sweep import point
from mopo_pipeline.baselines.trained import stored
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Judge, win_rates_against
from mopo_pipeline.parameters.baselines import LagrangianParams

NAME = "lagrangian_grpo"


def train(setting: Setting, params: LagrangianParams) -> tuple[RivalPolicy, ...]:
    """A training for each thresholds.

    Raises:
        InputError: thresholds that are not those of the constrained objectives, or no judge.
    """
    judge_of(setting, NAME)
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
            lambda target, asked=asked: _fit(setting, params, asked, target),
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
    if set(names) != set(thresholds):
        raise InputError(
            f"{NAME} needs a threshold for each of {', '.join(names)} and for nothing else; it was given "
            f"{', '.join(thresholds) or 'none'}"
        )
    return np.array([thresholds[name] for name in names])


def next_multipliers(multipliers: Array, thresholds: Array, values: Array, rate: float) -> Array:
    """Projected subgradient step of the multipliers, (K-1,): max(0, lambda + rate (b - G)).

    Args:
        multipliers: (K-1,) >= 0.
        thresholds: (K-1,) b.
        values: (K-1,) mean win rates of the batch.
        rate: step.
    """
    return np.maximum(0.0, multipliers + rate * (thresholds - values))


class WinRates:
    """Win rates of fresh answers against the data's own, an objective at a time, each answer judged once.

    Attributes:
        judged: answers scored so far.
        tokens: they had.
        last: (n, K) of the last batch.
    """

    def __init__(self, judge: Judge, opponents: Mapping[str, list[str]]) -> None:
        self.judge, self.opponents = judge, opponents
        self.judged = self.tokens = 0
        self.last = np.empty((0, len(judge.objectives)))
        self._batch: tuple[list[str], list[str]] = ([], [])

    def of(self, index: int) -> Callable[..., list[float]]:
        """The reward function of one objective as TRL calls it."""

        def reward(
            completions: list[Any], completion_ids: list[list[int]], stored: list[str], **_: Any
        ) -> list[float]:
            texts = [said[0]["content"] for said in completions]
            tokens = sum(map(len, completion_ids))
            return [float(v) for v in self.table(stored, texts, tokens)[:, index]]

        reward.__name__ = self.judge.objectives[index]
        return reward

    def table(self, prompts: list[str], texts: list[str], tokens: int) -> Array:
        """Win rates (n, K) of answers to stored prompts, so many tokens in all."""
        if (prompts, texts) != self._batch:
            known = [self.opponents[p] for p in prompts]
            stripped = [text.strip() for text in texts]
            self.last = win_rates_against(self.judge, prompts, stripped, known)
            self._batch = (list(prompts), list(texts))
            self.judged += len(texts)
            self.tokens += tokens
        return self.last
