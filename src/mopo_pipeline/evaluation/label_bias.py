"""When estimates from labels give the value of another policy than the one that was trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.reweighting import lost_share
from mopo_pipeline.evaluation.rows import DOUBLY_ROBUST, LABELS

MAX_CLIPPED = 0.1

MAX_LOST = 0.1
"""Most that the mean of clipped ratios over the data's answers may lack of 1, a share of what the policy says."""

MAX_MEAN_RATIO = 1.25
"""Greatest mean of pi / pi_ref over the data's answers. It is 1 if the reference drew them, whatever the policy."""

MIN_ANSWERS = 8
"""Fewest labelled answers per prompt at which the estimate from labels alone is not drawn towards 0.5 by more than .02."""

MAX_DRAWN = 0.03
"""Most that may be taken off an estimate that few answers a prompt draw towards 0.5: where it is more, as much may be left."""

MIN_CARRIED = 0.4
"""Least share of a prompt's labelled answers that a policy's mass must amount to: with less, a few stand for all it says, the
jackknife leaves what few answers a prompt add, and says that it took it off."""

NEARER = "its value is that of a policy nearer to the data"


@dataclass(frozen=True)
class Bias:
    """Why an estimate is that of another policy.

    Attributes:
        said: in a few words, beside a verdict; empty where nothing is wrong.
        why: with its limit and what it means.
    """

    said: str = ""
    why: str = ""


@dataclass(frozen=True)
class Labelled:
    """What estimates from test labels rest on.

    Attributes:
        clipped: share of test responses whose ratio was clipped; None without any.
        mean_ratio: of the policy over the reference on test responses, clipped, at the lower end of its interval; 1 or
            less where the reference drew them. None where it is not known.
        lost: share of what the policy says that lies beyond ratios as they are seen and clipped: what their mean lacks of 1.
        per_prompt: labelled responses per prompt, the median, of the objective with the fewest; 0 without any.
        drawn: win rate by which few answers a prompt drew an estimate from labels up towards 0.5, before that was taken off.
        carried: share of a prompt's labelled answers that the policy's mass amounts to, the mean over prompts, of the
            objective with the least.
    """

    clipped: float | None
    mean_ratio: float | None
    lost: float
    per_prompt: float
    drawn: float
    carried: float = 1.0

    @classmethod
    def of(cls, facts: Mapping[str, Any], constrained: Sequence[str]) -> "Labelled":
        """What the facts of the estimates from labels say of constrained objectives."""
        carried = (facts["carried"][name] for name in constrained)
        return cls(
            clipped=facts["clipped"],
            mean_ratio=facts["mean_ratio_low"],
            lost=lost_share(facts["mean_ratio"]),
            per_prompt=facts["labelled_per_prompt"],
            drawn=max((facts["drawn"][name] for name in constrained), default=0.0),
            carried=min((share for share in carried if share is not None), default=1.0),
        )

    @property
    def drawn_by_others(self) -> bool:
        """Whether the data's answers were surely not drawn by the reference."""
        return self.mean_ratio is not None and self.mean_ratio > MAX_MEAN_RATIO


def bias(estimator: str, known: Labelled) -> Bias:
    """Why this estimator's value is not that of the policy; nothing of estimators that need no labels."""
    if estimator == DOUBLY_ROBUST:
        return _of_ratios(known)
    if estimator == LABELS:
        return _of_few_answers(known)
    return Bias()


def labelled_per_prompt(pairs: pd.DataFrame, objectives: Iterable[str]) -> float:
    """Median number of responses that labels compare over the prompts with any, of the objective with the fewest; 0 without one."""
    return min(_typical(compared(pairs.dropna(subset=[name]))) for name in objectives)


def compared(pairs: pd.DataFrame) -> pd.DataFrame:
    """Responses of these pairs, each once: prompt_id, response_id."""
    sides = [
        pairs[["prompt_id", side]].set_axis(["prompt_id", "response_id"], axis=1)
        for side in ("response_a", "response_b")
    ]
    return pd.concat(sides).drop_duplicates()


def _typical(labelled: pd.DataFrame) -> float:
    """Median number of labelled responses over the prompts that have any; 0 without one."""
    return float(labelled.groupby("prompt_id").size().median()) if len(labelled) else 0.0


def _of_ratios(known: Labelled) -> Bias:
    clipped = known.clipped or 0.0
    if known.drawn_by_others:
        return Bias(
            "data not drawn by the reference",
            f"the data's answers were not drawn by the reference: the mean ratio over them is at least "
            f"{known.mean_ratio:.2f}, at most {MAX_MEAN_RATIO:g} wanted where 1 is expected",
        )
    if clipped > MAX_CLIPPED:
        return Bias(
            f"{clipped:.0%} of the ratios clipped",
            f"{clipped:.0%} of the ratios clipped, at most {MAX_CLIPPED:.0%} wanted: {NEARER}",
        )
    if known.lost > MAX_LOST:
        return Bias(
            f"{known.lost:.0%} of what the policy says lies beyond clipped ratios",
            f"the mean ratio over the data's answers is {1.0 - known.lost:.2f}, at least {1.0 - MAX_LOST:g} wanted where "
            f"1 is expected: {known.lost:.0%} of what the policy says lies beyond clipped ratios, and {NEARER}",
        )
    return Bias()


def _of_few_answers(known: Labelled) -> Bias:
    if known.per_prompt < MIN_ANSWERS:
        answers = f"{known.per_prompt:g} labelled answers per prompt"
        return Bias(
            f"{answers}: drawn towards 0.5",
            f"{answers}, {MIN_ANSWERS} needed: fewer draw the estimate towards 0.5",
        )
    if known.carried < MIN_CARRIED:
        return Bias(
            f"{known.carried:.0%} of a prompt's labelled answers stand for all that it says",
            f"the policy's mass within a prompt amounts to {known.carried:.0%} of its labelled answers, at least "
            f"{MIN_CARRIED:.0%} wanted: a few of them stand for all that it says",
        )
    if known.drawn > MAX_DRAWN:
        return Bias(
            f"drawn towards 0.5 by {known.drawn:.3f} or more",
            f"few answers a prompt draw an estimate towards 0.5 by {known.drawn:.3f} or more, at most {MAX_DRAWN:g} "
            "wanted: the policy is far from the reference for so few",
        )
    return Bias()
