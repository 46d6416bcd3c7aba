"""What thresholds can be met: the range of each objective over all policies."""

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.checks import check_number
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.estimator import PolicyEstimator
from mopo_pipeline.mopo.ratio import best_responses
from mopo_pipeline.mopo.rows import build_rows
from mopo_pipeline.mopo.solvers.complementarity import greatest
from mopo_pipeline.mopo.solvers.over_comparisons import bounds_of
from mopo_pipeline.mopo.solvers.over_rows import greatest_bound, worst_bound
from mopo_pipeline.mopo.together import estimator_of

STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""How strongly a policy follows one objective, in units of 1 / tau."""


def attainable_range(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    epsilon: float = 0.0,
) -> Array:
    """Lowest and highest value of each objective over all policies supported by the rows.

    ``E_x min_y s_k`` and ``E_x max_y s_k``. With ``epsilon`` > 0 both ends are lower bounds
    (eq. 4 over rows): the bound of the policy that plays each prompt's worst response, and the
    greatest bound any policy has. A high end is what a threshold can reach *alone*.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0; the range without KL penalty does not depend on it.
        reference: (N,) mass >= 0; a row of no mass is out of every policy's reach.
        groups: (N,) integer prompt ids.
        epsilon: radius >= 0 of the bound.

    Returns:
        (K, 2) array of (low, high), win rates.

    >>> attainable_range([[0.2, 0.9], [0.8, 0.1]], tau=0.1).tolist()
    [[0.2, 0.8], [0.1, 0.9]]
    """
    rows = build_rows(win_rates, reference, groups)
    check_number("tau", tau, above=0)
    radius = check_number("epsilon", epsilon, at_least=0)
    directions = np.eye(rows.n_objectives)
    low = [-best_responses(rows, -direction)[0] for direction in directions]
    high = [best_responses(rows, direction)[0] for direction in directions]
    if radius > 0:
        low = [worst_bound(rows, k, radius) for k in range(rows.n_objectives)]
        high = [greatest_bound(rows, k, radius) for k in range(rows.n_objectives)]
    return np.column_stack([low, high])


def attainable_bounds(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> Array:
    """What a plan on these data can promise of each objective alone, by the estimates it plans with.

    Of the primary the value, of each other objective the bound: the least over policies that follow
    or shun that objective, from hardly to wholly; the greatest over those for the primary, and over
    those for the objective that are for the primary too, as every policy of a threshold is. So a
    threshold inside the range can be met alone, and the range is never inverted.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0.
        reference: (N,) mass >= 0, uniform if None; a prompt weighs what its rows weigh together.
        groups: (N,) integer prompt ids.
        comparisons: labelled pairs.
        epsilon: radius, as ``solve_dual`` will be given it.
        confidence: likewise.
        pooling: likewise.

    Returns:
        (K, 2) of (low, high) in [0, 1].
    """
    rows = build_rows(win_rates, reference, groups)
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    size = rows.n_objectives
    bounds = bounds_of(estimator, size - 1, False)
    ends = np.empty((size, 2))
    for k in range(size):
        found = [*_along(estimator, k, -1.0), *_along(estimator, k, 1.0)]
        high = max(found) if k == 0 else greatest(bounds, k - 1)
        ends[k] = min(*found, high), high
    return np.clip(ends, 0.0, 1.0)


def bounds_at_any_distance(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> Array:
    """What labels can promise of each constrained objective alone, of policies as near to the data as one likes.

    Few labels promise most of a policy that follows an objective gently; at a small temperature none
    that is for the primary too is so gentle, and a greater one may reach it.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0.
        reference: (N,) mass >= 0, uniform if None; a prompt weighs what its rows weigh together.
        groups: (N,) integer prompt ids.
        comparisons: labelled pairs.
        epsilon: radius, as ``solve_dual`` was given it.
        confidence: likewise.
        pooling: likewise.

    Returns:
        (K-1,) greatest bounds, at most 1.
    """
    rows = build_rows(win_rates, reference, groups)
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    found = [max(_along(estimator, k, 1.0)) for k in range(1, rows.n_objectives)]
    return np.minimum(found, 1.0)


def _along(estimator: PolicyEstimator, k: int, sign: float) -> list[float]:
    """What policies that follow objective k, or shun it, from hardly to wholly, are sure of in it: its value, or its bound."""
    alone = sign * np.eye(estimator.rows.n_objectives)[k]
    found = [estimator.at(strength * alone) for strength in STRENGTHS]
    return [float(policy.levels[k - 1] if k else policy.values[0]) for policy in found]
