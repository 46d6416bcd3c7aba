"""Thresholds held by the lower bound (4): over rows with the fixed point (5), and over comparisons."""

import numpy as np

from mopo_pipeline.mopo.bound import LowerBound, lower_bound
from mopo_pipeline.mopo.feasibility import check_feasible
from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.newton import DualConvergenceError, minimise_dual
from mopo_pipeline.mopo.solution import CheckedComparisons
from mopo_pipeline.mopo.tilt import Tilt, tilt
from mopo_pipeline.mopo.validation import Array

GAP_TOLERANCE = 1e-9
RESIDUAL_TOLERANCE = 1e-9
_MAX_OUTER = 500


class RobustInfeasibleError(DualConvergenceError):
    """No multipliers bring every lower bound up to its threshold."""


def row_bounds(problem: Problem, ratio: Array, epsilon: float) -> list[LowerBound]:
    """Lower bound of every constrained value over the rows, from the ratio in problem order."""
    columns = problem.scores[:, 1:].T
    return [lower_bound(ratio * column, problem.mass, epsilon) for column in columns]


def solve_row_robust(
    problem: Problem, thresholds: Array, tau: float, epsilon: float, barrier: float = 0.0
) -> tuple[Array, Tilt, list[LowerBound], float]:
    """Fixed point (5): worst-case row weights v multiply the constrained scores.

    For fixed v in the ball the problem is an ordinary dual, and an upper bound on the robust one; the
    policy's own worst-case weights are the steepest change of v. Mixing them in with a backtracked step
    lowers the upper bound until it meets the policy's robust value.

    Returns:
        Multipliers (K-1,), the policy (with values of the *plain* scores), its bounds, the duality gap.

    Raises:
        RobustInfeasibleError: for some v in the ball no policy meets the thresholds.
    """
    tilts = np.ones((thresholds.size, problem.scores.shape[0]))
    multipliers, upper, policy = _solve_given(problem, tilts, thresholds, tau, barrier, None)
    step, best = 1.0, None
    for _ in range(_MAX_OUTER):
        bounds = row_bounds(problem, policy.ratio, epsilon)
        lower = _robust_lagrangian(problem, policy, bounds, multipliers, thresholds, tau, barrier)
        gap = upper - lower
        if best is None or gap < best[3]:
            best = (multipliers, policy, bounds, gap)
        if gap <= GAP_TOLERANCE:
            break
        target = np.array([bound.weights / problem.mass for bound in bounds])
        moved = False
        while step > 1e-6:
            candidate = (1.0 - step) * tilts + step * target
            trial = _solve_given(problem, candidate, thresholds, tau, barrier, multipliers)
            if trial[1] <= upper + 1e-14:
                tilts, (multipliers, upper, policy) = candidate, trial
                moved = True
                break
            step *= 0.5
        if not moved:
            break
        step = min(1.0, step * 2.0)
    assert best is not None
    return best


def _solve_given(
    problem: Problem, tilts: Array, thresholds: Array, tau: float, barrier: float, start: Array | None
) -> tuple[Array, float, Tilt]:
    """Dual at fixed worst-case weights: multipliers, dual value, policy."""
    scores = np.column_stack([problem.scores[:, 0], problem.scores[:, 1:] * tilts.T])
    tilted = problem.with_scores(scores)
    feasibility = check_feasible(tilted, thresholds)
    if feasibility.violation > 0:
        raise RobustInfeasibleError(f"the bound cannot reach {thresholds.tolist()}")
    multipliers, policy = minimise_dual(tilted, thresholds, tau, start=start, barrier=barrier)
    value = policy.dual - float(multipliers @ thresholds)
    if barrier > 0:
        value -= barrier * float(np.log(multipliers).sum())
    return multipliers, value, policy


def _robust_lagrangian(
    problem: Problem,
    policy: Tilt,
    bounds: list[LowerBound],
    multipliers: Array,
    thresholds: Array,
    tau: float,
    barrier: float,
) -> float:
    """Value of this policy in the robust problem's Lagrangian: a lower bound on its dual."""
    value = float(policy.values[0]) - tau * policy.kl
    slack = np.array([bound.value for bound in bounds]) - thresholds
    value += float(multipliers @ slack)
    return value - barrier * float(np.log(multipliers).sum()) if barrier > 0 else value


def robust_range(problem: Problem, tau: float, epsilon: float) -> Array:
    """Low (plain minimum) and high (largest lower bound any policy reaches) of each objective, (K, 2)."""
    from mopo_pipeline.mopo.feasibility import value_range

    result = []
    for k in range(problem.scores.shape[1]):
        low, high = value_range(problem, k)
        single = problem.with_scores(problem.scores[:, [k, k]] * np.array([0.0, 1.0]))
        result.append((low, _largest_bound(single, high, tau, epsilon)))
    return np.array(result)


def _largest_bound(problem: Problem, high: float, tau: float, epsilon: float) -> float:
    """Bisect the threshold of a one-constraint problem for the last one that can be met."""
    met = lower_bound(problem.scores[:, 1], problem.mass, epsilon).value
    missed = high + 1e-9
    while missed - met > 1e-5:
        middle = 0.5 * (met + missed)
        try:
            _, _, bounds, _ = solve_row_robust(problem, np.array([middle]), tau, epsilon)
        except DualConvergenceError:
            missed = middle
            continue
        if bounds[0].value >= middle - 1e-6:
            met = middle
        else:
            missed = middle
    return met


def comparison_bounds(
    problem: Problem, ratio: Array, comparisons: CheckedComparisons, epsilon: float
) -> list[LowerBound]:
    """Lower bound of every constrained value over the labelled comparisons (doubly robust terms).

    f_c = (rho_i s_i + rho_j s_j) / 2 + (rho_i - rho_j)(I_c - p_c) / 2 with a model's p, and
    f_c = (rho_i I_c + rho_j (1 - I_c)) / 2 without; a missing label leaves its comparison out.
    """
    full = problem.to_caller(ratio)
    scores = np.zeros((problem.n_rows, problem.scores.shape[1]))
    scores[problem.rows] = problem.scores
    rho_i, rho_j = full[comparisons.first], full[comparisons.second]
    bounds = []
    for k in range(1, scores.shape[1]):
        label = comparisons.labels[:, k]
        if comparisons.predicted is None:
            terms = 0.5 * (rho_i * label + rho_j * (1.0 - label))
        else:
            s_i, s_j = scores[comparisons.first, k], scores[comparisons.second, k]
            surprise = label - comparisons.predicted[:, k]
            terms = 0.5 * (rho_i * s_i + rho_j * s_j) + 0.5 * (rho_i - rho_j) * surprise
        present = ~np.isnan(terms)
        bounds.append(lower_bound(terms[present], comparisons.weights[present], epsilon))
    return bounds


def solve_comparison_robust(
    problem: Problem,
    thresholds: Array,
    tau: float,
    epsilon: float,
    comparisons: CheckedComparisons,
    barrier: float = 0.0,
) -> tuple[Array, Tilt, list[LowerBound], float]:
    """Smallest multipliers whose policy (2) meets every bound, with complementary slackness.

    Solves the ordinary dual at raised thresholds and moves each by its bound's shortfall until every
    bound sits on its threshold or its multiplier is zero.

    Returns:
        Multipliers (K-1,), the policy, its bounds, and the gap: multipliers times |bound - threshold|.

    Raises:
        RobustInfeasibleError: the raised thresholds leave the attainable set, or no convergence.
    """
    raised, multipliers, rate = thresholds.copy(), None, 1.0
    previous = np.inf
    for _ in range(_MAX_OUTER):
        if check_feasible(problem, raised).violation > 0:
            raise RobustInfeasibleError(f"the bound cannot reach {thresholds.tolist()}")
        multipliers, policy = minimise_dual(problem, raised, tau, start=multipliers, barrier=barrier)
        bounds = comparison_bounds(problem, policy.ratio, comparisons, epsilon)
        shortfall = thresholds - np.array([bound.value for bound in bounds])
        idle = (multipliers <= 0) & (shortfall <= 0)
        residual = float(np.abs(np.where(idle, 0.0, shortfall)).max(initial=0.0))
        if barrier > 0:
            residual = float(np.abs(policy.values[1:] - raised + shortfall).max(initial=0.0))
        if residual <= RESIDUAL_TOLERANCE:
            return multipliers, policy, bounds, float(multipliers @ np.abs(shortfall))
        if residual > 0.9 * previous:
            rate = max(0.5 * rate, 0.02)
        previous = residual
        margin = policy.values[1:] + shortfall - thresholds  # value less bound
        raised = raised + rate * (thresholds + margin - raised) if barrier > 0 else np.where(
            idle, thresholds + margin, raised + rate * shortfall
        )
    raise RobustInfeasibleError(
        f"no multipliers bring the bounds to {thresholds.tolist()}; the last shortfall was {residual:.2e}"
    )
