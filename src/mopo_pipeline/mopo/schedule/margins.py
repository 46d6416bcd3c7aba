"""How far a policy's estimated values may lie above its true ones: prompts are a sample, judges err."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.bound import lower_bound
from mopo_pipeline.mopo.comparisons import Comparisons, check_weights
from mopo_pipeline.mopo.confidence import quantile
from mopo_pipeline.mopo.ratio import effective_number


class JudgeError(NamedTuple):
    """A judge's error on a policy's responses, as labels see it.

    Attributes:
        bias: (K,) how far the judge's values lie above those of the labels.
        noise: (K,) mean less lower bound of that estimate, >= 0.
    """

    bias: Array
    noise: Array


def prompt_margins(values: Array, groups: NDArray[np.int64], confidence: float) -> Array:
    """Mean less lower bound (eq. 4) of a policy's values over prompts as a sample of all prompts.

    Args:
        values: (N, J) win rates of what the policy says.
        groups: (N,) prompt of each row.
        confidence: one-sided, in [.5, 1).

    Returns:
        (J,) >= 0.

    >>> values, groups = np.array([[0.4], [0.4], [0.6], [0.6]]), np.array([0, 0, 1, 1])
    >>> prompt_margins(values, groups, 0.5).tolist()
    [0.0]
    >>> bool(prompt_margins(values, groups, 0.8)[0] > 0.05)
    True
    """
    counts = np.bincount(groups)
    present = counts > 0
    means = [np.bincount(groups, column)[present] / counts[present] for column in values.T]
    margins = [mean.mean() - _least(mean, None, confidence) for mean in means]
    return np.array(margins, dtype=np.float64)


def certificate_margins(deviation: Array, prompts: int, level: float) -> Array:
    """Half-widths of the certificate to come: how far above a threshold a value must be seen to be certified.

    Args:
        deviation: (J,) standard deviation of a policy's values over prompts.
        prompts: of the test split; fewer than two certify nothing, and ask for nothing.
        level: one-sided, of each threshold.

    Returns:
        (J,) >= 0.

    >>> certificate_margins(np.array([0.1]), 25, 0.975).round(3).tolist()
    [0.041]
    >>> certificate_margins(np.array([0.1]), 0, 0.975).tolist()
    [0.0]
    """
    if prompts < 2:
        return np.zeros(len(deviation))
    return np.asarray(quantile(level, np.ones(prompts)) * deviation / np.sqrt(prompts))


def prompt_deviation(values: Array, groups: NDArray[np.int64]) -> Array:
    """Standard deviation (J,) over prompts of the mean of their rows (N, J); 0 for a single prompt.

    >>> prompt_deviation(np.array([[0.4], [0.4], [0.6], [0.6]]), np.array([0, 0, 1, 1])).round(3).tolist()
    [0.141]
    """
    counts = np.bincount(groups)
    present = counts > 0
    if present.sum() < 2:
        return np.zeros(values.shape[1])
    means = [np.bincount(groups, column)[present] / counts[present] for column in values.T]
    return np.array([np.std(mean, ddof=1) for mean in means], dtype=np.float64)


def judge_error(
    comparisons: Comparisons, ratio: Array, groups: NDArray[np.int64], confidence: float
) -> JudgeError:
    """What labels say of a judge where a policy is: the correction of the doubly robust estimate.

    Of each comparison c = (i, j, I) with the judge's probability p the term
    ``(ratio_i - ratio_j)(I - p)/2`` (method.md, section 4); its mean is what the judge's value lacks.
    Comparisons of one prompt, or of prompts drawn as one, are taken together.

    Args:
        comparisons: with ``predicted``; labels (M, K).
        ratio: (N,) of the policy over the one that made the rows; normalised here per prompt.
        groups: (N,) prompt of each row.
        confidence: one-sided, in [.5, 1).

    Returns:
        Bias and noise, both 0 for an objective without labels or predictions.
    """
    own = ratio * (np.bincount(groups) / np.maximum(np.bincount(groups, ratio), 1e-300))[groups]
    first, second = np.asarray(comparisons.first), np.asarray(comparisons.second)
    gap = 0.5 * (own[first] - own[second])
    labels = np.asarray(comparisons.labels, dtype=np.float64)
    weights = check_weights(comparisons.weights, labels.shape)
    terms = gap[:, None] * (labels - np.asarray(comparisons.predicted, dtype=np.float64))
    drawn = groups if comparisons.clusters is None else np.asarray(comparisons.clusters)
    bias, noise = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for k, (term, mass) in enumerate(zip(terms.T, weights.T, strict=True)):
        known = ~np.isnan(term) & (mass > 0)
        weight = np.bincount(drawn[first[known]], mass[known]).astype(np.float64)
        total = np.bincount(drawn[first[known]], mass[known] * term[known])[weight > 0]
        weight = weight[weight > 0]
        if weight.size:
            mean = float(total.sum() / weight.sum())
            bias[k] = -mean
            noise[k] = mean - _least(total / weight, weight, confidence)
    return JudgeError(bias, noise)


def _least(values: Array, weights: Array | None, level: float) -> float:
    """The lower bound of the mean of values (G,) over prompts at a level, by as many prompts as the weights (G,) amount to."""
    mass = np.ones(values.size) if weights is None else weights
    effective = effective_number(mass)
    return lower_bound(values, weights, quantile(level, mass) ** 2 / (2 * effective)).value
