"""Thresholds held by the policy that is learned: multipliers from estimates of values and bounds."""

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.estimator import PolicyEstimator
from mopo_pipeline.mopo.pooling import credibility, pooled_ratio
from mopo_pipeline.mopo.ratio import effective_share, per_prompt
from mopo_pipeline.mopo.solution import MET, DualSolution, kl_from_reference, statuses
from mopo_pipeline.mopo.solvers.complementarity import (
    Bounds,
    closest,
    greatest,
    path,
    solve,
    walk,
)


def solve_over_comparisons(
    estimator: PolicyEstimator,
    thresholds: Array,
    pooling: float | None,
    logarithmic: bool,
    start: Array | None = None,
) -> DualSolution:
    """The smallest multipliers whose bounds meet the thresholds, or what is attainable.

    Args:
        estimator: of the policies.
        thresholds: (K-1,).
        pooling: kappa of the weights; None chooses it from the rows.
        logarithmic: the log-barrier variant.
        start: (K-1,) multipliers of neighbouring thresholds; None starts from none.

    Raises:
        InfeasibleThresholdsError: no multipliers were found whose bounds reach the thresholds.
        NotConvergedError: some reach them, but none with complementary slackness.
    """
    bounds = bounds_of(estimator, thresholds.size, logarithmic)
    point = solve(bounds, thresholds, start)
    if point is None:
        raise _unsolved(bounds, thresholds)
    return _describe(estimator, point, bounds.excess(point, thresholds), thresholds, pooling)


def bounds_of(estimator: PolicyEstimator, size: int, logarithmic: bool) -> Bounds:
    """Bounds (size,) of the policies of multipliers (size,)."""
    return Bounds(lambda point: estimator.at(np.append(1.0, point)).levels, size, logarithmic)


def _describe(
    estimator: PolicyEstimator,
    point: Array,
    excess: Array,
    thresholds: Array,
    pooling: float | None,
) -> DualSolution:
    """The solution at multipliers ``point`` (K-1,), whose bounds exceed thresholds (K-1,) by ``excess``."""
    rows, direction = estimator.rows, np.append(1.0, point)
    found = estimator.at(direction)
    target, row_values = _target(estimator, direction)
    kappa = pooling
    if kappa is None:
        kappa = credibility(rows, (direction / estimator.tau) @ rows.columns)
    ratio = target
    if estimator.sampled and kappa > 0:
        ratio = np.zeros(len(target))
        for fold in estimator.folds:
            own = pooled_ratio(rows, (direction / estimator.tau) @ fold.columns, kappa)
            own /= len(estimator.folds)
            ratio += own
    return DualSolution(
        multipliers=point,
        ratio=rows.restore(ratio),
        values=found.values.clip(0.0, 1.0),
        bounds=found.levels.clip(0.0, 1.0),
        chi=np.array([bound.chi for bound in found.bounds]),
        duality_gap=float(point @ excess),
        ess=effective_share(ratio, rows.mass),
        status=statuses(point, found.levels - thresholds),
        kl=kl_from_reference(rows, target),
        epsilon=found.epsilon,
        effective_comparisons=found.effective,
        effective_if_alike=found.effective_if_alike,
        pooling=kappa,
        row_values=row_values,
    )


def _target(estimator: PolicyEstimator, direction: Array) -> tuple[Array, Array]:
    """The policy of a direction (K,), the mean over folds, over the reference (n,), and its win rates (K,) over the rows."""
    rows, share = estimator.rows, 1.0 / len(estimator.folds)
    target, values = np.zeros(len(rows.mass)), np.zeros(rows.n_objectives)
    for fold in estimator.folds:
        for here, _, part in fold.parts():
            own = per_prompt(part, (direction @ part.columns) / estimator.tau)
            target[here] += share * own
            values += share * (part.columns @ (part.mass * own))
    return target, values


def _unsolved(bounds: Bounds, thresholds: Array) -> Exception:
    """What each bound reaches alone, and the nearest thresholds (K-1,) the solver really meets."""
    plain = Bounds(bounds, bounds.size)
    reached = plain(closest(plain, thresholds))
    relaxed = _nearest_solved(plain, thresholds, reached)
    if (reached >= thresholds - MET).all():
        return NotConvergedError(
            f"no multipliers hold the thresholds {thresholds} with complementary slackness: the data are too few for "
            f"the estimates to follow the multipliers; {relaxed} can be held",
            relaxed,
        )
    attainable = np.array([greatest(plain, k) for k in range(plain.size)])
    return InfeasibleThresholdsError(thresholds, np.maximum(attainable, relaxed), relaxed)


def _nearest_solved(bounds: Bounds, thresholds: Array, reached: Array) -> Array:
    """Thresholds (K-1,), none above those asked for, that are solved: the last before ``reached`` (K-1,), whose shortfall is the least.

    Where all fall short these are solved as they are. Else multipliers for one threshold overshoot another, which no
    solution does: the solver's own path leads as near as it goes, those kept as they were asked that can be; where no such
    path begins, all give way alike.
    """
    none = np.zeros(bounds.size)
    goal = np.minimum(reached, thresholds) - MET
    if (reached <= thresholds).all() and solve(bounds, goal) is not None:
        return np.asarray(goal)
    safe = np.minimum(bounds(none), goal)
    kept = np.where(reached >= thresholds, goal, safe)
    for begin in (kept, safe):
        place, point = path(bounds, begin, none)[-1]
        if place < 1.0:
            continue
        share, _ = walk(bounds, point, begin, goal)[-1]
        relaxed = goal - (1.0 - share) * (goal - begin)
        if solve(bounds, relaxed) is not None:
            return np.asarray(relaxed)
    return np.asarray(safe)
