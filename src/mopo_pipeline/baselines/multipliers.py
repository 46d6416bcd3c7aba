"""Thresholds on mean win rates of fresh answers: rewards that know them, multipliers that follow them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.judges.base import Judge, win_rates_against

NAME = "lagrangian_grpo"


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
