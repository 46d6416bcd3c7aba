"""How far a judge can see: what it makes of answers whose worth the labels tell."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import Interval, prompt_bootstrap, sum_by
from mopo_pipeline.streams import Stream, generator

_SPLITS = 8
"""How often an answer's comparisons are dealt into two halves."""

UNKNOWN = dict.fromkeys(
    (
        "slope", "slope_low", "slope_high", "ceiling", "ceiling_low", "ceiling_high",
        "ceiling_labels", "ceiling_labels_low",
    )
)  # fmt: skip


def judge_reach(
    predicted: Array, labels: Array, pairs: pd.DataFrame, params: EvaluateParams, seed: int
) -> dict[str, float | None]:
    """Slope of judged on labelled win rates, and what the answers that people like best are worth to the judge.

    An answer's comparisons are dealt into two halves. One half's labels choose (the best answer of a prompt) or
    weigh (the slope, by instrumental variables); the other half's labels and the judge's word on the same
    comparisons are what is compared. So the labels' noise neither flattens the slope nor makes the best
    answers look better than they are.

    Args:
        predicted: (M,) the judge's probability that the first response wins.
        labels: (M,) in [0, 1], NaN missing.
        pairs: prompt_id, response_a, response_b and unit (what the prompt was drawn with) of the comparisons.
        params: confidence and bootstrap size.
        seed: of the deal and the bootstrap.

    Returns:
        ``slope``, ``ceiling`` (the judge's word) and ``ceiling_labels``, with ends of their intervals over
        units; None where answers were compared once, or labels are too noisy to tell answers apart.
    """
    kept = ~np.isnan(labels)
    sides = [pairs.loc[kept, side].to_numpy() for side in ("response_a", "response_b")]
    answers, texts = pd.factorize(np.concatenate(sides))
    if not len(texts):
        return dict(UNKNOWN)
    codes, names = pd.factorize(np.tile(pairs.loc[kept, "prompt_id"].to_numpy(), 2))
    prompts = np.zeros(len(texts), dtype=np.intp)
    prompts[answers] = codes
    worth = np.column_stack([_both_sides(values[kept]) for values in (labels, predicted)]) - 0.5
    slopes, ceilings = np.zeros((len(names), 2)), np.zeros((len(names), 3))
    rng = generator(seed, Stream.JUDGE_HALVES)
    for _ in range(_SPLITS):
        halves = _halves(worth, answers, len(texts), rng)
        for one, other in (halves, halves[::-1]):
            slopes += _slope_terms(one, other, prompts, len(names))
            ceilings += _ceiling_terms(one, other, prompts, len(names))
    drawn = pd.Series(pairs.loc[kept, "unit"].to_numpy(), index=pairs.loc[kept, "prompt_id"])
    units = pd.factorize(drawn[~drawn.index.duplicated()].loc[names])[0].astype(np.intp)
    slopes, ceilings = (sum_by(terms, units, int(units.max()) + 1) for terms in (slopes, ceilings))
    return _found(slopes, ceilings, params, seed)


def _both_sides(values: Array) -> Array:
    """What (M,) values say of the first and, turned round, of the second answers, (2M,)."""
    return np.concatenate([values, 1.0 - values])


def _halves(
    worth: Array, answers: NDArray[np.intp], count: int, rng: np.random.Generator
) -> list[Array]:
    """Mean label and mean prediction, less .5, of each answer in each half, two of (n, 2); NaN without any."""
    order = rng.permutation(len(answers))
    order = order[np.argsort(answers[order], kind="stable")]
    first = np.searchsorted(answers[order], np.arange(count))
    rank = np.arange(len(order)) - first[answers[order]]
    found = []
    for half in (0, 1):
        rows = order[rank % 2 == half]
        size = np.bincount(answers[rows], minlength=count)[:, None].astype(np.float64)
        total = sum_by(worth[rows], answers[rows], count)
        found.append(np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0))
    return found


def _slope_terms(one: Array, other: Array, prompts: NDArray[np.intp], count: int) -> Array:
    """Products of one half's labels with the other's predictions and labels, summed by prompt, (P, 2)."""
    terms = one[:, :1] * other[:, ::-1]
    return sum_by(np.nan_to_num(terms), prompts, count)


def _ceiling_terms(one: Array, other: Array, prompts: NDArray[np.intp], count: int) -> Array:
    """By prompt the other half's prediction and label of the answers best in one half, and 1; (P, 3)."""
    able = ~np.isnan(one[:, 0]) & ~np.isnan(other[:, 0])
    score = np.where(able, one[:, 0], -np.inf)
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, prompts, score)
    best = able & (score == highest[prompts])
    several = np.bincount(prompts[able], minlength=count) > 1
    terms = np.column_stack([other[:, ::-1] + 0.5, np.ones(len(one))])
    total = sum_by(np.where(best[:, None], terms, 0.0), prompts, count)
    mean = np.divide(total, total[:, 2:], out=np.zeros_like(total), where=total[:, 2:] > 0)
    return mean * several[:, None]


def _found(
    slopes: Array, ceilings: Array, params: EvaluateParams, seed: int
) -> dict[str, float | None]:
    """Slope and ceilings with their intervals, from sums over units, both (U, n)."""

    def interval(top: Array, bottom: Array) -> Interval:
        return prompt_bootstrap(
            top,
            bottom,
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=generator(seed, Stream.JUDGE_REACH),
        )

    found: dict[str, float | None] = dict(UNKNOWN)
    spread = interval(slopes[:, 1:], np.ones((len(slopes), 1)))
    if spread.low[0] > 0:
        slope = interval(slopes[:, :1], slopes[:, 1:])
        found |= {
            "slope": slope.estimate[0],
            "slope_low": slope.low[0],
            "slope_high": slope.high[0],
        }
    best = of_shares(interval(ceilings[:, :2], ceilings[:, 2:]))
    if np.isfinite(best.low).all():
        found |= {
            "ceiling": best.estimate[0],
            "ceiling_low": best.low[0],
            "ceiling_high": best.high[0],
            "ceiling_labels": best.estimate[1],
            "ceiling_labels_low": best.low[1],
        }
    return {name: None if value is None else float(value) for name, value in found.items()}
