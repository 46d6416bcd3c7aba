"""Test labels re-weighted to a policy: ratios, terms, and how many comparisons still count."""

import numpy as np

from mopo_pipeline.arrays import Array, Index


def importance_ratio(log_ratio: Array, max_ratio: float) -> Array:
    """Pi / pi_ref of each response, (n,), clipped at ``max_ratio`` and scaled to mean 1.

    Args:
        log_ratio: (n,) log pi - log pi_ref, nats.
        max_ratio: greatest ratio before scaling, > 0.
    """
    clipped = np.minimum(log_ratio, np.log(max_ratio))
    ratio = np.exp(clipped - clipped.max())
    return np.asarray(ratio / ratio.mean())


def comparison_terms(
    first: Index,
    second: Index,
    labels: Array,
    ratio: Array,
    win_rates: Array | None,
    predicted: Array | None,
) -> Array:
    """f_c of every comparison and objective, (M, K); NaN where the label is missing.

    ``f_c = (rho_i s_i + rho_j s_j)/2 + (rho_i - rho_j)(I_c - p_c)/2``; without a model
    ``f_c = (rho_i I_c + rho_j (1 - I_c))/2`` (``method.md``, section 4, setting 2).

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        labels: (M, K) in [0, 1], NaN missing.
        ratio: (n,) importance ratio of the responses.
        win_rates: (n, K) of a model, or None.
        predicted: (M, K) the model's probability that the first response wins, or None.
    """
    left, right = ratio[first][:, None], ratio[second][:, None]
    if win_rates is None or predicted is None:
        return 0.5 * (left * labels + right * (1.0 - labels))
    return 0.5 * (
        left * win_rates[first] + right * win_rates[second] + (left - right) * (labels - predicted)
    )


def label_shares(
    first: Index, second: Index, weights: Array, log_ratio: Array, prompts: Index
) -> tuple[Array, Array]:
    """What each label says of its two responses under pi~(y|x) ~ mu pi / pi_ref, both (M, K).

    A prompt's labelled responses have a mass of 1 in proportion to their ratios, and each response's
    mass is divided among its own comparisons, in proportion to their weights.

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        weights: (M, K) of the comparisons, 0 where the label is missing.
        log_ratio: (n,) log pi - log pi_ref, nats.
        prompts: (n,) prompt of each response, from 0.
    """
    compared = np.zeros((len(log_ratio), weights.shape[1]))
    np.add.at(compared, first, weights)
    np.add.at(compared, second, weights)
    logs = np.where(compared > 0, log_ratio[:, None], -np.inf)
    highest = np.full((prompts.max() + 1, weights.shape[1]), -np.inf)
    np.maximum.at(highest, prompts, logs)
    mass = np.exp(logs - np.where(np.isfinite(highest), highest, 0.0)[prompts])
    total = np.zeros_like(highest)
    np.add.at(total, prompts, mass)
    per_weight = np.divide(
        mass, total[prompts] * compared, out=np.zeros_like(mass), where=compared > 0
    )
    return per_weight[first] * weights, per_weight[second] * weights


def effective_comparisons(
    first: Index, second: Index, left: Array, right: Array, responses: int
) -> Array:
    """How many equally weighted comparisons carry as much as these, (K,).

    Kish's (sum m)^2 / sum m^2 over comparisons, or over responses where that is less: a response
    that carries the weight of all its comparisons is one observation.

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        left: (M, K) mass of a comparison by its first response, >= 0.
        right: (M, K) mass by its second response, >= 0.
        responses: how many rows there are.

    >>> pairs = np.arange(4), np.arange(4, 8)
    >>> even = np.ones((4, 1))
    >>> float(effective_comparisons(*pairs, even, even, 8)[0])
    4.0
    >>> star = np.zeros(4, dtype=int), np.arange(1, 5)
    >>> round(float(effective_comparisons(*star, even, 0.01 * even, 5)[0]), 2)
    1.02
    """
    carried = np.zeros((responses, left.shape[1]))
    np.add.at(carried, first, left)
    np.add.at(carried, second, right)
    return np.minimum(kish(left + right), kish(carried))


def kish(mass: Array) -> Array:
    """(sum m)^2 / sum m^2 of each column of (n, K); 0 where nothing has mass."""
    squares = (mass**2).sum(axis=0)
    share = np.zeros(squares.shape)
    return np.asarray(np.divide(mass.sum(axis=0) ** 2, squares, out=share, where=squares > 0))
