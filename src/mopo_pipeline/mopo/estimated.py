"""Thresholds held by the policy that is learned: multipliers from estimates of values and bounds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.mopo.bound import check_epsilon
from mopo_pipeline.mopo.checks import check_number
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.complementarity import SOLVED, Bounds, closest, greatest, solve
from mopo_pipeline.mopo.dual import DualSolution, effective_share, kl_from_reference, statuses
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.pooling import credibility, pooled_ratio
from mopo_pipeline.mopo.rows import build_rows
from mopo_pipeline.mopo.statistical import PolicyEstimator, build_estimator, per_prompt

Array = NDArray[np.float64]

STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""How strongly a policy follows one objective, in units of 1 / tau."""


def solve_estimated(
    estimator: PolicyEstimator, thresholds: Array, pooling: float | None, logarithmic: bool
) -> DualSolution:
    """The smallest multipliers whose bounds meet the thresholds, or what is attainable.

    Args:
        estimator: of the policies.
        thresholds: (K-1,).
        pooling: kappa of the weights; None chooses it from the rows.
        logarithmic: the log-barrier variant.

    Raises:
        InfeasibleThresholdsError: no multipliers were found whose bounds reach the thresholds.
        NotConvergedError: some reach them, but none with complementary slackness.
    """
    bounds = _bounds(estimator, thresholds.size, logarithmic)
    point = solve(bounds, thresholds)
    if point is None:
        raise _unsolved(bounds, thresholds)
    return _describe(estimator, point, bounds.excess(point, thresholds), thresholds, pooling)


def _bounds(estimator: PolicyEstimator, size: int, logarithmic: bool) -> Bounds:
    return Bounds(lambda point: estimator.at(np.append(1.0, point)).levels, size, logarithmic)


def _describe(
    estimator: PolicyEstimator,
    point: Array,
    excess: Array,
    thresholds: Array,
    pooling: float | None,
) -> DualSolution:
    rows, direction = estimator.rows, np.append(1.0, point)
    found = estimator.at(direction)
    exponent = (direction @ rows.columns) / estimator.tau
    target = per_prompt(rows, exponent)
    kappa = pooling
    if kappa is None:
        kappa = credibility(rows, exponent)
    sampled = estimator.sampled and kappa > 0
    ratio = pooled_ratio(rows, exponent, kappa) if sampled else target
    return DualSolution(
        multipliers=point,
        ratio=rows.restore(ratio),
        values=found.values.clip(0.0, 1.0),
        bounds=found.levels.clip(0.0, 1.0),
        chi=np.array([bound.chi for bound in found.bounds]),
        duality_gap=float(point @ excess),
        ess=effective_share(rows, ratio),
        status=statuses(point, found.levels - thresholds),
        kl=kl_from_reference(rows, target),
        dual_value=float("nan"),
        epsilon=found.epsilon,
        effective_comparisons=found.effective,
        pooling=kappa,
        row_values=rows.columns @ (rows.mass * target),
    )


def _unsolved(bounds: Bounds, thresholds: Array) -> Exception:
    """What each bound reaches alone, and the nearest thresholds the solver really meets."""
    plain = Bounds(bounds, bounds.size)
    reached = plain(closest(plain, thresholds))
    relaxed = _nearest_solved(plain, thresholds, reached)
    if (reached >= thresholds - SOLVED).all():
        return NotConvergedError(
            f"no multipliers hold the thresholds {thresholds} with complementary slackness: the data are too few for "
            f"the estimates to follow the multipliers; {relaxed} can be held",
            relaxed,
        )
    attainable = np.array([greatest(plain, k) for k in range(plain.size)])
    return InfeasibleThresholdsError(thresholds, np.maximum(attainable, relaxed), relaxed)


def _nearest_solved(bounds: Bounds, thresholds: Array, reached: Array) -> Array:
    nearest = np.minimum(reached, thresholds)
    safe = np.minimum(bounds(np.zeros(bounds.size)), nearest)
    for share in (1.0, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.0):
        relaxed = safe + share * (nearest - safe) - 1e-7
        if solve(bounds, relaxed) is not None:
            break
    return np.asarray(relaxed)


def attainable_bounds(
    win_rates: ArrayLike,
    *,
    tau: float,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> Array:
    """What a plan on these data can promise of each objective alone, by the estimates it plans with.

    Of the primary the value, of each other objective the bound: least and greatest over policies
    that follow or shun that objective, from hardly to wholly. Both ends stand on one scale, so the
    range is never inverted, and no planned value lies above it.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0.
        groups: (N,) integer prompt ids.
        comparisons: labelled pairs.
        epsilon: radius, as ``solve_dual`` will be given it.
        confidence: likewise.
        pooling: likewise.

    Returns:
        (K, 2) of (low, high) in [0, 1].
    """
    rows = build_rows(win_rates, None, groups)
    size = rows.n_objectives
    estimator = build_estimator(
        rows, check_number("tau", tau, above=0), pooling != 0 and len(rows.starts) > 1,
        comparisons=comparisons, epsilon=check_epsilon(epsilon, size - 1), confidence=confidence,
    )  # fmt: skip
    alone, bounds = np.eye(size), _bounds(estimator, size - 1, False)
    ends = np.empty((size, 2))
    for k in range(size):
        found = [
            [_promised(estimator, sign * strength * alone[k], k) for strength in STRENGTHS]
            for sign in (-1.0, 1.0)
        ]
        ends[k] = min(found[0]), max(found[1])
        if k > 0:
            ends[k, 1] = max(ends[k, 1], greatest(bounds, k - 1))
    return np.clip(ends, 0.0, 1.0)


def _promised(estimator: PolicyEstimator, direction: Array, k: int) -> float:
    found = estimator.at(direction)
    return float(found.levels[k - 1] if k else found.values[0])
