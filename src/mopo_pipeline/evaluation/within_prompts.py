"""What test labels alone say of a policy, normalised within each prompt, and where they cannot tell (method.md, section 3)."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.labelled_split import LabelledSplit, labelled_split
from mopo_pipeline.evaluation.reweighting import effective_comparisons
from mopo_pipeline.evaluation.rows import LABELS, bounded, no_values, value_rows
from mopo_pipeline.mopo.labelled import label_shares, share_carried
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.intervals import Interval, sum_by
from mopo_pipeline.streams import Stream, generator


def label_values(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
    params: EvaluateParams,
    seed: int,
) -> pd.DataFrame:
    """Values of the policy from test labels alone, normalised within each prompt.

    The policy restricted to a prompt's own labelled responses, pi~(y|x) ~ mu pi / pi_ref, wins what
    the labels say (``method.md``, section 3). Needs no model. Few labelled responses per prompt draw it towards the
    data's 0.5: on the pocket task, for a policy at .67 and .32, by .03 and .05 with two, .02 and .03 with four, below
    .01 with sixteen; more where the policy is far from the reference. Above 0.5 that understates, and is left; below
    it the jackknife takes it off, and errs the other way (``mopo.labelled``).

    Args:
        responses: every response.
        comparisons: labelled pairs; those of the test split are used.
        logprobs: test responses under both models, as ``test_logprobs`` gives them.
        objectives: names of the K objectives.
        params: confidence and bootstrap size.
        seed: of the bootstrap.

    Returns:
        Rows of objective values; none without test comparisons.
    """
    held = labelled_split(responses, comparisons, logprobs, objectives)
    if held is None:
        return no_values()
    plain, debiased = (_by_labels(held, params, seed, debiased=j) for j in (False, True))
    lower = debiased.estimate < plain.estimate
    interval = replace(
        plain,
        **{
            name: np.where(lower, getattr(debiased, name), getattr(plain, name))
            for name in ("estimate", "low", "high", "se", "freedom")
        },
    )
    left, right = _shares(held)
    effective = effective_comparisons(held.first, held.second, left, right, len(held.responses))
    return value_rows("policy", LABELS, objectives, bounded(interval), effective)


def drawn_to_half(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
) -> dict[str, float]:
    """How far few answers a prompt draw the estimate from labels up towards 0.5, by objective; arguments as in ``label_values``.

    It is what is taken off; 0 where it lies above 0.5, or nothing is known.
    """
    held = labelled_split(responses, comparisons, logprobs, objectives)
    if held is None:
        return dict.fromkeys(objectives, 0.0)
    plain, debiased = (_label_means(held, *_shares(held, debiased=j)) for j in (False, True))
    moved = np.maximum(np.nan_to_num(plain - debiased), 0.0)
    return dict(zip(objectives, map(float, moved), strict=True))


def carried_share(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
) -> dict[str, float | None]:
    """``share_carried`` of the test split by objective, None without labels; arguments as in ``label_values``."""
    held = labelled_split(responses, comparisons, logprobs, objectives)
    if held is None:
        return dict.fromkeys(objectives)
    given = held.first, held.second, held.weights, held.log_ratio, held.prompts
    found = share_carried(*given).tolist()
    return {
        name: None if np.isnan(value) else value
        for name, value in zip(objectives, found, strict=True)
    }


def label_values_by_prompt(held: LabelledSplit) -> Array:
    """What ``label_values`` says, prompt by prompt, (P, K) in the order of the split; NaN where a prompt has no label.

    A prompt's own value may lie outside [0, 1] where few answers' draw to 0.5 is taken off.
    """
    first, count = held.prompts[held.first], int(held.prompts.max()) + 1

    def by_prompt(debiased: bool) -> Array:
        """Values (P, K)."""
        left, right = _shares(held, debiased)
        won, mass = (sum_by(m, first, count) for m in (_won(held, left, right), left + right))
        return np.divide(won, mass, out=np.full_like(won, np.nan), where=mass > 0.5)

    plain, unbiased = by_prompt(False), by_prompt(True)
    return np.where(np.nanmean(unbiased, axis=0) < np.nanmean(plain, axis=0), unbiased, plain)


def _shares(held: LabelledSplit, debiased: bool = False) -> tuple[Array, Array]:
    """``label_shares`` of the test split, both (M, K)."""
    return label_shares(
        held.first, held.second, held.weights, held.log_ratio, held.prompts, debiased
    )


def _won(held: LabelledSplit, left: Array, right: Array) -> Array:
    """What labels say by shares left and right, all (M, K)."""
    return np.where(held.weights > 0, left * held.labels + right * (1.0 - held.labels), 0.0)


def _label_means(held: LabelledSplit, left: Array, right: Array) -> Array:
    """Win rates (K,) by shares left and right (M, K); NaN without labels."""
    mass = (left + right).sum(axis=0)
    nothing = np.full(len(mass), np.nan)
    total = _won(held, left, right).sum(axis=0)
    return np.asarray(np.divide(total, mass, out=nothing, where=mass > 0))


def _by_labels(
    held: LabelledSplit, params: EvaluateParams, seed: int, *, debiased: bool
) -> Interval:
    """Win rates (K,) by labels within prompts, with what units and annotators leave uncertain."""
    left, right = _shares(held, debiased)
    rng = generator(seed, Stream.LABEL_VALUES)
    return held.ratio(_won(held, left, right), left + right, params, rng)
