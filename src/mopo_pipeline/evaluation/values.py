"""Objective values of the reference and the policy, each with an interval over prompts, or over groups of them drawn as one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri, stdtrit

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.labelled_split import LabelledSplit, labelled_split
from mopo_pipeline.evaluation.reweighting import (
    comparison_terms,
    effective_comparisons,
    importance_ratio,
    lost_share,
    mean_ratio,
)
from mopo_pipeline.evaluation.rows import DOUBLY_ROBUST, bounded, no_values, value_rows
from mopo_pipeline.judges.preference import PreferenceModelJudge
from mopo_pipeline.mopo import effective_share
from mopo_pipeline.mopo.annotators import Added, joint_freedom
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.intervals import Interval, prompt_bootstrap, sum_by
from mopo_pipeline.preferences.estimate import model_win_rates
from mopo_pipeline.preferences.model import PreferenceModel
from mopo_pipeline.streams import Stream, generator

MIN_OPPONENTS = 4
MEAN_RATIO = ("mean_ratio", "mean_ratio_low", "mean_ratio_high")


def judged_values(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    units: pd.Series,
    objectives: tuple[str, ...],
    params: EvaluateParams,
    seed: int,
    quality: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """Mean win rate of sampled answers per policy, objective and judge.

    The interval holds two errors, independent because they come of different prompts: that of the sampled
    prompts, and that of the judge's scale on the labels (``scores`` at the ends of its interval).

    Args:
        completions: sampled answers.
        scores: as ``judge_completions`` gives them.
        units: what was drawn as one, by prompt_id.
        objectives: names of the K objectives.
        params: confidence and bootstrap size.
        seed: of the bootstrap.
        quality: ``judge_quality`` of every judge by name, for the degrees of freedom of its scale; None: as many as can be.
    """
    table = scores.merge(
        completions[["completion_id", "prompt_id", "policy"]],
        on="completion_id",
        validate="many_to_one",
    )
    columns = [f"{name}_win_rate" for name in objectives]
    parts = []
    for (judge, policy), part in table.groupby(["judge", "policy"], sort=False):
        codes, ids = pd.factorize(part["prompt_id"].map(units))
        values = part[columns].to_numpy(dtype=np.float64)
        interval = prompt_bootstrap(
            sum_by(values, codes, len(ids)),
            np.bincount(codes)[:, None].astype(np.float64),
            confidence=params.confidence,
            draws=params.bootstrap,
            rng=generator(seed, Stream.JUDGED_VALUES),
        )
        ends = np.array(
            [part[[f"{c}{end}" for c in columns]].mean().to_numpy() for end in ("_from", "_to")]
        )
        interval = with_scale_error(interval, ends, _scale_freedom(quality, str(judge), objectives))
        parts.append(value_rows(str(policy), str(judge), objectives, bounded(interval)))
    return pd.concat(parts, ignore_index=True) if parts else no_values()


def with_scale_error(interval: Interval, ends: Array, freedom: Array) -> Interval:
    """An interval (K,) widened by what its estimates are at the two ends (2, K) of the scale's own interval.

    Win rates bend in the scale, so that its ends lie at unequal distance: the farther one counts in the standard error,
    with the degrees of freedom (K,) that the scale is known with, inf where nothing says.
    """
    value = interval.estimate
    down = value - np.minimum(ends.min(axis=0), value)
    up = np.maximum(ends.max(axis=0), value) - value
    quantile = 0.5 + interval.level / 2.0
    error = np.maximum(up, down) / np.where(
        np.isinf(freedom), ndtri(quantile), stdtrit(freedom, quantile)
    )
    known = [
        joint_freedom(se**2, f, Added(own**2, own_f)) if se + own > 0.0 else f
        for se, f, own, own_f in zip(interval.se, interval.freedom, error, freedom, strict=True)
    ]
    return replace(
        interval,
        low=value - np.hypot(value - interval.low, down),
        high=value + np.hypot(interval.high - value, up),
        se=np.hypot(interval.se, error),
        freedom=np.array(known),
    )


def _scale_freedom(
    quality: dict[str, Any] | None, judge: str, objectives: tuple[str, ...]
) -> Array:
    """Degrees of freedom (K,) that the scale of a judge is known with; inf where nothing says."""
    known = [
        None if quality is None else quality[judge]["objectives"][name]["calibration"]
        for name in objectives
    ]
    return np.array([(found or {}).get("freedom") or np.inf for found in known])


def doubly_robust_values(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    model: PreferenceModel | None,
    objectives: tuple[str, ...],
    params: EvaluateParams,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Values of the policy from test labels and a model, without generating anything.

    Test comparisons (i, j, I) are re-weighted by the policy's ratio, clipped at
    ``params.max_ratio``, and divided by the mean of ``(rho_i + rho_j)/2``; a model's error is
    corrected by the labels (``comparison_terms``). Prompts weigh alike however many comparisons they have, as they
    do for judges of new answers. An interval takes what the mean of the clipped ratios lacks of 1 for a share of the policy's
    answers that may be worth anything. An estimate outside [0, 1] is clipped and has no interval.

    Args:
        responses: every response.
        comparisons: labelled pairs; those of the test split are used.
        logprobs: test responses under both models, as ``test_logprobs`` gives them.
        model: evaluation preference model, which saw no test label; None is the plain weighted
            label mean.
        objectives: names of the K objectives.
        params: confidence, bootstrap size and greatest ratio.
        seed: of the bootstrap.

    Returns:
        Rows of objective values (none without test comparisons), and facts: comparisons used, the
        effective share of the responses under the weights, the largest weight's share, the share
        of clipped ratios, ``mean_ratio`` with its interval ``mean_ratio_low`` to ``mean_ratio_high``
        before scaling (1 or less where the reference drew the data), and the estimates that lay
        ``outside`` [0, 1] by objective.
    """
    held = labelled_split(responses, comparisons, logprobs, objectives)
    facts: dict[str, Any] = {"comparisons": 0, "outside": {}}
    facts |= dict.fromkeys(("ess", "largest_weight", "clipped", *MEAN_RATIO))
    if held is None:
        return no_values(), facts
    ratio = importance_ratio(held.log_ratio, params.max_ratio)
    facts |= {"comparisons": len(held.first)} | _ratio_facts(held, ratio, params, seed)
    win_rates, predicted = _model_says(held, model, objectives)
    terms = comparison_terms(held.first, held.second, held.labels, ratio, win_rates, predicted)
    weights = held.even_weights
    left, right = (0.5 * ratio[rows][:, None] * weights for rows in (held.first, held.second))
    top = np.where(weights > 0, terms * weights, 0.0)
    rng = generator(seed, Stream.DOUBLY_ROBUST_VALUES)
    interval = held.ratio(top, left + right, params, rng)
    named = zip(objectives, map(float, interval.estimate), strict=True)
    facts["outside"] = {name: value for name, value in named if value < 0.0 or value > 1.0}
    effective = effective_comparisons(held.first, held.second, left, right, len(ratio))
    interval = bounded(interval, lost_share(facts["mean_ratio"]))
    return value_rows("policy", DOUBLY_ROBUST, objectives, interval, effective), facts


def _ratio_facts(
    held: LabelledSplit, ratio: Array, params: EvaluateParams, seed: int
) -> dict[str, float | None]:
    """What the scaled ratios (n,) leave effective, how many were clipped, and the mean they had."""
    mean = mean_ratio(
        held.log_ratio,
        held.units,
        params.max_ratio,
        confidence=params.confidence,
        draws=params.bootstrap,
        rng=generator(seed, Stream.MEAN_RATIO),
    )
    return {
        "ess": effective_share(ratio),
        "largest_weight": float(ratio.max() / ratio.sum()),
        "clipped": float((held.log_ratio > np.log(params.max_ratio)).mean()),
        **dict(zip(MEAN_RATIO, mean, strict=True)),
    }


def _model_says(
    held: LabelledSplit, model: PreferenceModel | None, objectives: tuple[str, ...]
) -> tuple[Array | None, Array | None]:
    """Win rates (n, K) and probabilities (M, K) of the model, in the objectives' order."""
    if model is None:
        return None, None
    test = held.responses
    rewards = PreferenceModelJudge(model, objectives).scores(
        test["prompt"].tolist(), test["response"].tolist()
    )
    win_rates, _ = model_win_rates(rewards, test["prompt_id"], min_opponents=MIN_OPPONENTS)
    return win_rates, expit(rewards[held.first] - rewards[held.second])
