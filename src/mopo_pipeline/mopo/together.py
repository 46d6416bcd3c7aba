"""How far each threshold can rise while the others are held, and what that costs the primary."""

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.bound import check_epsilon
from mopo_pipeline.mopo.checks import check_number, check_thresholds
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.estimator import PolicyEstimator, build_estimator
from mopo_pipeline.mopo.rows import Rows, build_rows
from mopo_pipeline.mopo.solvers.complementarity import solve, walk
from mopo_pipeline.mopo.solvers.over_comparisons import bounds_of

FINEST = 1 / 64
"""Share of the way to what is attainable alone by which an end is known."""


def estimator_of(
    rows: Rows,
    tau: float,
    comparisons: Comparisons | None,
    epsilon: float | ArrayLike,
    confidence: float | None,
    pooling: float | None,
) -> PolicyEstimator:
    """What values the policies of one problem whose thresholds are left open; radius (K-1,) or one for all.

    Raises:
        InputError: an argument has the wrong shape or range.
    """
    return build_estimator(
        rows,
        check_number("tau", tau, above=0),
        pooling != 0 and len(rows.starts) > 1,
        comparisons=comparisons,
        epsilon=check_epsilon(epsilon, rows.n_objectives - 1),
        confidence=confidence,
    )


def raised_alone(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    multipliers: ArrayLike,
    highest: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> tuple[Array, ...]:
    """For each constraint the primary as its threshold alone rises, the others held where they are.

    Args:
        win_rates: (N, K) in [0, 1].
        thresholds: (K-1,) of a solved problem.
        multipliers: (K-1,) that solve it.
        highest: (K-1,) where to stop, such as what each attains alone.
        tau: temperature > 0.
        reference: (N,) mass >= 0, uniform if None; a prompt weighs what its rows weigh together.
        groups: (N,) integer prompt ids.
        comparisons: labelled pairs.
        epsilon: radius, as ``solve_dual`` was given it.
        confidence: likewise.
        pooling: likewise.

    Returns:
        K-1 arrays (n, 2), n >= 1: threshold and primary win rate, from where it stands to the greatest that holds
        together with the others, known to ``FINEST`` of the way.
    """
    rows = build_rows(win_rates, reference, groups)
    size = rows.n_objectives - 1
    begin, ends = check_thresholds(thresholds, size), check_thresholds(highest, size)
    start = np.asarray(multipliers, dtype=np.float64)
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    bounds = bounds_of(estimator, size, False)
    paths = []
    for k in range(size):
        end = begin.copy()
        end[k] = max(begin[k], ends[k])
        found = walk(bounds, start, begin, end, FINEST) if end[k] > begin[k] else [(0.0, start)]
        primary = [estimator.at(np.append(1.0, point)).values[0] for _, point in found]
        risen = begin[k] + np.array([place for place, _ in found]) * (end[k] - begin[k])
        paths.append(np.column_stack([risen, np.clip(primary, 0.0, 1.0)]))
    return tuple(paths)


def lowered_alone(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    multipliers: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> tuple[Array, ...]:
    """For each constraint the primary as its threshold alone falls to where it costs nothing, the others held.

    Args as those of ``raised_alone``.

    Returns:
        K-1 arrays (n, 2), n >= 1: threshold and primary win rate, rising from where the threshold costs nothing to where
        it stands; that place alone where it costs nothing already, or where no path leads there.
    """
    rows = build_rows(win_rates, reference, groups)
    size = rows.n_objectives - 1
    asked = check_thresholds(thresholds, size)
    stands = np.asarray(multipliers, dtype=np.float64)
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    bounds = bounds_of(estimator, size, False)
    paths = []
    for k in range(size):
        begin = asked.copy()
        begin[k] = 0.0
        start = solve(bounds, begin, np.where(np.arange(size) == k, 0.0, stands))
        found = [(1.0, stands)]
        if start is not None and bounds(start)[k] < asked[k]:
            begin[k] = bounds(start)[k]
            walked = walk(bounds, start, begin, asked, FINEST)
            found = walked if walked[-1][0] == 1.0 else found
        primary = [estimator.at(np.append(1.0, point)).values[0] for _, point in found]
        risen = asked[k] - (1.0 - np.array([place for place, _ in found])) * (asked[k] - begin[k])
        paths.append(np.column_stack([risen, np.clip(primary, 0.0, 1.0)]))
    return tuple(paths)


def without_thresholds(
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
    """Values (K,) of the policy that heeds the primary alone; the arguments are those of ``raised_alone``."""
    rows = build_rows(win_rates, reference, groups)
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    heeded = np.append(1.0, np.zeros(rows.n_objectives - 1))
    return estimator.at(heeded).values.clip(0.0, 1.0)


def knee(path: ArrayLike) -> int | None:
    """Where a path (n, 2) of threshold and primary bends most: furthest above the line between its ends.

    None where it has no inner point, or falls along a line.

    >>> knee([[0.5, 0.60], [0.55, 0.59], [0.6, 0.40]]), knee([[0.5, 0.6], [0.6, 0.4]])
    (1, None)
    """
    points = np.asarray(path, dtype=np.float64)
    span = points[-1] - points[0]
    if len(points) < 3 or span[0] <= 0 or span[1] >= 0:
        return None
    scaled = (points - points[0]) / span
    above = scaled[:, 0] - scaled[:, 1]
    best = int(above.argmax())
    return best if above[best] > 0.05 else None
