"""A judge carried to the scale of the labels: how much of a preference its differences of scores are worth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from mopo_pipeline.arrays import Array
from mopo_pipeline.judges.base import Judge, Link, differences
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.tables import comparison_weights

MIN_COMPARISONS = 30
"""Fewest comparisons, plain or effective, that a verdict or a calibration may rest on."""

LEFT_OUT = "left_out.parquet"
"""Beside an evaluation model: score differences of the comparisons it was fitted on, by folds left out."""

_GREATEST = 30.0
"""Greatest scale, in units of one over the differences' root mean square."""


@dataclass(frozen=True)
class Calibrating:
    """Labelled comparisons as a judge sees them.

    Attributes:
        gap: (M, K) score of the first response minus that of the second.
        labels: (M, K) in [0, 1], NaN missing.
        weights: (M, K) >= 0, 0 where the label is missing.
        units: (M,) prompt of each comparison, or the group it was drawn in, from 0.
    """

    gap: Array
    labels: Array
    weights: Array
    units: NDArray[np.intp]

    def scale(self, k: int, link: Link, params: EvaluateParams, seed: int) -> dict[str, Any] | None:
        """``fit_scale`` of objective k."""
        gap, labels, weights = (table[:, k] for table in (self.gap, self.labels, self.weights))
        return fit_scale(gap, labels, weights, self.units, link, params, seed)


def on_scale(gap: Array, link: Link, scale: Array | float) -> Array:
    """Probability, in [0, 1], that people prefer the first response, by the judge's difference of scores.

    ``sigmoid(scale * gap)`` for a logistic link, ``(1 + scale * sign(gap)) / 2`` for a step. A scale of 1 takes
    the judge at its word.

    >>> on_scale(np.array([2.0, -2.0]), "step", 0.5).tolist()
    [0.75, 0.25]
    """
    if link == "logistic":
        return np.asarray(expit(scale * gap))
    return np.asarray(0.5 + 0.5 * scale * np.sign(gap))


def fit_scale(
    gap: Array,
    labels: Array,
    weights: Array,
    units: NDArray[np.intp],
    link: Link,
    params: EvaluateParams,
    seed: int,
) -> dict[str, Any] | None:
    """The scale with which a judge's differences predict the labels, with its interval over units.

    Labels are predicted from the judge, E[I | gap], and not the judge from the labels: the gap is known without
    error and all noise is the labels' own, so nothing is attenuated. One number suffices, because
    swapping the responses must swap the prediction; it makes a judge that is merely too flat or too sharp the
    same as one that is not. The scale is that of the data's own answers: what a difference is worth is taken
    to be the same where the policy is.

    Args:
        gap: (M,) differences of scores.
        labels: (M,) in [0, 1], NaN missing.
        weights: (M,) >= 0.
        units: (M,) prompt of each comparison, or the group it was drawn in, from 0.
        link: of the judge.
        params: confidence and bootstrap size.
        seed: of the bootstrap.

    Returns:
        ``scale``, ``low``, ``high``, ``comparisons``, ``freedom`` (degrees of freedom of its error); scale and ends 0 for a judge that sees no difference; None below
        ``MIN_COMPARISONS`` or two units.
    """
    used = ~np.isnan(labels) & ~np.isnan(gap) & (weights > 0)
    gap, labels, weights = gap[used], labels[used], weights[used]
    codes, present = pd.factorize(units[used])
    if len(gap) < MIN_COMPARISONS or len(present) < 2:
        return None
    if not np.abs(gap).max() > 0:
        return {"scale": 0.0, "low": 0.0, "high": 0.0, "comparisons": len(gap), "freedom": None}
    towards, slope, scale = _estimating(gap, labels, weights, link)
    found = prompt_bootstrap(
        sum_by((towards + scale * slope)[:, None], codes, len(present)),
        sum_by(slope[:, None], codes, len(present)),
        confidence=params.confidence,
        draws=params.bootstrap,
        rng=generator(seed, Stream.JUDGE_SCALE),
    )
    return {
        "scale": float(scale),
        "low": float(found.low[0]),
        "high": float(found.high[0]),
        "comparisons": len(gap),
        "freedom": float(found.freedom[0]),
    }


def _estimating(
    gap: Array, labels: Array, weights: Array, link: Link
) -> tuple[Array, Array, float]:
    """Each comparison's estimating equation (M,) at the solution, minus its derivative there (M,), and the solution."""
    if link == "step":
        half = 0.5 * np.sign(gap)
        slope = weights * half**2
        scale = float((weights * (labels - 0.5) * half).sum() / slope.sum())
        return weights * (labels - 0.5 - scale * half) * half, slope, scale
    # Labels a judge predicts without fail have no finite scale: half a label of doubt in all keeps one.
    kept = 0.5 + (labels - 0.5) * (1.0 - 1.0 / len(labels))

    def equation(scale: float) -> float:
        return float((weights * (kept - expit(scale * gap)) * gap).sum())

    bound = _GREATEST / float(np.sqrt((gap**2).mean()))
    inside = equation(-bound) > 0 > equation(bound)
    scale = (
        float(brentq(equation, -bound, bound)) if inside else float(np.sign(equation(0.0)) * bound)
    )
    p = expit(scale * gap)
    return weights * (kept - p) * gap, weights * p * (1.0 - p) * gap**2, scale


def calibrating_comparisons(
    judge: Judge, responses: pd.DataFrame, comparisons: pd.DataFrame, left_out: Path | None
) -> Calibrating:
    """The validation split's comparisons as a judge sees them that never met their labels.

    Args:
        judge: scores responses.
        responses: every response.
        comparisons: labelled pairs; those of the validation split are used.
        left_out: file of the differences by folds left out, of a judge fitted on that split; None: the judge
            itself is asked.
    """
    pairs = comparisons.loc[comparisons["split"] == "validation"].reset_index(drop=True)
    names = list(judge.objectives)
    if left_out is not None:
        sides = ["response_a", "response_b"]
        gap = (
            pairs[sides]
            .merge(
                pd.read_parquet(left_out).drop_duplicates(sides),
                on=sides,
                how="left",
                validate="many_to_one",
            )[names]
            .to_numpy(dtype=np.float64)
        )
    else:
        gap = score_gaps(judge, responses, pairs)
    return Calibrating(
        gap,
        pairs[names].to_numpy(dtype=np.float64),
        comparison_weights(pairs, names),
        pd.factorize(pairs["prompt_id"].map(sampling_units(responses)))[0].astype(np.intp),
    )


def score_gaps(judge: Judge, responses: pd.DataFrame, pairs: pd.DataFrame) -> Array:
    """Score of each pair's first response minus that of its second, (M, K)."""
    return differences(judge, *pair_texts(responses, pairs))


def pair_texts(
    responses: pd.DataFrame, pairs: pd.DataFrame
) -> tuple[list[str], list[str], list[str]]:
    """Prompts, first responses and second responses of pairs."""
    text = responses.set_index("response_id")
    prompts = text["prompt"].reindex(pairs["response_a"]).tolist()
    first, second = (
        text["response"].reindex(pairs[side]).tolist() for side in ("response_a", "response_b")
    )
    return prompts, first, second


def save_left_out(
    predictions: Array, comparisons: pd.DataFrame, objectives: tuple[str, ...], directory: Path
) -> None:
    """Keep what folds left out say of their comparisons, p(first wins) (M, K), as differences of scores."""
    gaps = pd.DataFrame(logit(np.clip(predictions, 1e-12, 1.0 - 1e-12)), columns=list(objectives))
    sides = comparisons[["response_a", "response_b"]].reset_index(drop=True)
    pd.concat([sides, gaps], axis=1).to_parquet(Path(directory) / LEFT_OUT)
