"""Multipliers at which bounds meet thresholds with complementary slackness (method.md, section 4).

``lambda >= 0, bound(lambda) >= b``, one of the two with equality for every constraint. No dual function
stands behind these conditions: a bound rises with its own multiplier and then falls again, as the
ratio concentrates on fewer comparisons. The search therefore starts at zero, where the thresholds are
what the reference reaches, and follows the solution as the thresholds rise to those asked for; so the
smallest multipliers are found, and neighbouring thresholds have neighbouring solutions.
"""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
from scipy.optimize import brentq, least_squares, minimize_scalar

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.solvers import barrier

SOLVED = 1e-9
"""Largest violation of ``min(lambda, bound - b) = 0`` at a solution, win rates."""

GRID = np.concatenate([[0.0], np.geomspace(0.02, 200.0, 42)])
"""Multipliers looked at along one axis."""

SHORTEST = 1 / 512
"""Share of the way to the thresholds below which the path counts as ended."""

STEP = 1e-5
"""Of the difference quotients, relative to 1 + lambda."""


class Bounds:
    """Bounds as a function of the multipliers; what was computed is kept.

    Args:
        at: multipliers (m,) to bounds (m,).
        n_constraints: m.
        logarithmic: slack sigma / lambda_k is kept above every threshold (log barrier).
    """

    def __init__(
        self, at: Callable[[Array], Array], n_constraints: int, logarithmic: bool = False
    ) -> None:
        self._at = at
        self.size = n_constraints
        self.logarithmic = logarithmic
        self._seen: dict[bytes, Array] = {}

    def __call__(self, point: Array) -> Array:
        """Bounds (m,) at ``point``."""
        key = point.tobytes()
        if key not in self._seen:
            self._seen[key] = self._at(point)
        return self._seen[key]

    def slope(self, point: Array) -> Array:
        """Jacobian (m, m) by differences: ``[j, k] = d bound_j / d lambda_k``."""
        columns = []
        for k in range(self.size):
            moved = point.copy()
            moved[k] += STEP * (1 + point[k])
            columns.append((self(moved) - self(point)) / (moved[k] - point[k]))
        return np.column_stack(columns)

    def excess(self, point: Array, thresholds: Array) -> Array:
        """What must be >= 0 and complementary to the multipliers, (m,)."""
        slack = self(point) - thresholds
        return slack - barrier.slack_at(point) if self.logarithmic else slack

    def residual(self, point: Array, thresholds: Array) -> float:
        """Largest violation of ``min(lambda, excess) = 0``."""
        return float(np.abs(np.minimum(point, self.excess(point, thresholds))).max(initial=0.0))

    def along(self, k: int, multiplier: float) -> float:
        """Bound of constraint k with its own multiplier alone."""
        return float(self(multiplier * np.eye(self.size)[k])[k])


def solve(bounds: Bounds, thresholds: Array, start: Array | None = None) -> Array | None:
    """The smallest multipliers (m,) that solve the conditions; None where none were found.

    ``start`` (m,) are multipliers that solve neighbouring thresholds: the path is followed from there.
    """
    if bounds.size == 0:
        return np.zeros(0)
    if bounds.logarithmic:
        return _solve_barrier(bounds, thresholds)
    if (bounds(np.zeros(bounds.size)) >= thresholds).all():
        return np.zeros(bounds.size)
    if bounds.size == 1:
        return _first_crossing(bounds, thresholds)
    for begin in (start, np.zeros(bounds.size)):
        if begin is not None:
            place, point = path(bounds, thresholds, begin)[-1]
            if place == 1.0:
                return point
    return _smallest_of_many(bounds, thresholds)


def greatest(bounds: Bounds, k: int) -> float:
    """Most the bound of constraint k reaches by its own multiplier alone."""
    grid = GRID[::4]
    levels = np.array([bounds.along(k, step) for step in grid])
    best = int(levels.argmax())
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda x: -bounds.along(k, x), bounds=ends, method="bounded", options={"xatol": 1e-3}
    )
    return max(float(levels[best]), float(-found.fun))


def closest(bounds: Bounds, thresholds: Array) -> Array:
    """Multipliers (m,) whose bounds fall short of the thresholds by least (Euclidean).

    The shortfall has several local minima, so the descent starts from the best two of a coarse
    grid along every axis and along the diagonal.
    """
    axes = [*np.eye(bounds.size), np.ones(bounds.size)]
    grid = [np.zeros(bounds.size)]
    grid += [scale * axis for axis in axes for scale in (0.1, 0.3, 1.0, 3.0, 10.0)]
    found = sorted(grid, key=lambda point: _shortfall(bounds, point, thresholds))
    ends = [found[0], *(_descend(bounds, thresholds, start) for start in found[:2])]
    return min(ends, key=lambda point: _shortfall(bounds, point, thresholds))


def _shortfall(bounds: Bounds, point: Array, thresholds: Array) -> float:
    """Euclidean distance by which the bounds at ``point`` (m,) fall short of thresholds (m,)."""
    return float(np.linalg.norm(np.maximum(thresholds - bounds(point), 0.0)))


def _descend(bounds: Bounds, thresholds: Array, start: Array) -> Array:
    """Multipliers (m,) of least shortfall near ``start`` (m,)."""

    def shortfalls(point: Array) -> Array:
        return np.maximum(thresholds - bounds(point), 0.0)

    def slopes(point: Array) -> Array:
        return np.asarray(-bounds.slope(point) * (bounds(point) < thresholds)[:, None])

    found = least_squares(
        shortfalls,
        start + 1e-9,
        jac=slopes,
        bounds=(0.0, np.inf),
        max_nfev=40,
        xtol=1e-10,
        ftol=1e-12,
        gtol=1e-12,
    )
    return np.asarray(found.x, dtype=np.float64)


def _first_crossing(bounds: Bounds, thresholds: Array) -> Array | None:
    """One constraint: the smallest multiplier (1,) at which its bound meets the threshold (1,)."""

    def excess(multiplier: float) -> float:
        return bounds.along(0, multiplier) - float(thresholds[0])

    for left, right in pairwise(GRID):
        if excess(right) >= 0:
            return _root(excess, left, right)
    levels = [excess(step) for step in GRID]
    best = int(np.argmax(levels))
    left, right = GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)]
    peak = minimize_scalar(lambda x: -excess(x), bounds=(left, right), method="bounded").x
    return _root(excess, left, peak) if excess(peak) >= 0 else None


def _root(excess: Callable[[float], float], left: float, right: float) -> Array:
    """The crossing (1,) between ``left``, where the excess is negative, and ``right``; from above."""
    root = brentq(excess, left, right, xtol=1e-13, rtol=1e-14)
    return np.array([root])


def path(
    bounds: Bounds, thresholds: Array, start: Array, shortest: float = SHORTEST
) -> list[tuple[float, Array]]:
    """``walk`` from those thresholds (m,) that ``start`` (m,) solves to those asked for, (m,)."""
    met = bounds(start)
    begin = np.where(start > 0, met, np.minimum(met, thresholds))
    return walk(bounds, start, begin, thresholds, shortest)


def walk(
    bounds: Bounds, start: Array, begin: Array, end: Array, shortest: float = SHORTEST
) -> list[tuple[float, Array]]:
    """Solutions (m,) as thresholds rise from ``begin`` (m,), whose solution is ``start`` (m,), to ``end`` (m,).

    Returns:
        Shares of the way in [0, 1] with the multipliers (m,) there, as far as the path leads; ``shortest`` is the share
        below which it counts as ended.
    """
    steps = [(0.0, np.array(start, dtype=np.float64))]
    step = 0.25
    while steps[-1][0] < 1.0 and step >= shortest:
        place, point = steps[-1]
        goal = min(1.0, place + step)
        asked = end - (1.0 - goal) * (end - begin)
        found = _newton(bounds, asked, _ahead(steps, goal))
        if found is None or np.abs(found - point).max() > 1.0 + 2.0 * point.max():
            step /= 2
            continue
        steps.append((goal, found))
        step = min(2 * step, 0.5)
    return steps


def _smallest_of_many(bounds: Bounds, thresholds: Array) -> Array | None:
    """Where the path ends early: the smallest solution (m,) that Newton finds from many starts."""
    starts = [np.array(start) for start in product((0.0, 0.3, 1.0, 3.0), repeat=bounds.size)]
    found = [_newton(bounds, thresholds, start) for start in starts[: 4**4]]
    found.append(_newton(bounds, thresholds, closest(bounds, thresholds)))
    return min((point for point in found if point is not None), key=np.sum, default=None)


def _ahead(path: list[tuple[float, Array]], goal: float) -> Array:
    """Where the path leads, (m,), if it goes on straight."""
    place, point = path[-1]
    if len(path) == 1:
        return point
    before, earlier = path[-2]
    return np.maximum(point + (point - earlier) * (goal - place) / (place - before), 0.0)


def _solve_barrier(bounds: Bounds, thresholds: Array) -> Array | None:
    """Multipliers (m,) of the log barrier, from its own start or else from the solution without it."""
    start = np.full(bounds.size, barrier.START)
    found = _newton(bounds, thresholds, start, max_steps=200)
    if found is None:
        plain = solve(Bounds(bounds, bounds.size), thresholds)
        if plain is not None:
            found = _newton(bounds, thresholds, np.maximum(plain, 1e-3), max_steps=200)
    return found


def _newton(bounds: Bounds, thresholds: Array, start: Array, max_steps: int = 40) -> Array | None:
    """Newton on the complementarity conditions from ``start`` (m,) with a cap on the step; None where it stalls."""
    point = np.array(start, dtype=np.float64)
    residual = bounds.residual(point, thresholds)
    for _ in range(max_steps):
        if residual <= SOLVED:
            return point
        slope = bounds.slope(point)
        if bounds.logarithmic:
            slope = slope + np.diag(barrier.curvature(point))
        target = _linear_complementarity(point, bounds.excess(point, thresholds), slope)
        if target is None:
            return None
        step = target - point
        cap = max(1.0, 2.0 * float(np.abs(point).max(initial=0.0)))
        length = min(1.0, cap / max(float(np.abs(step).max()), 1e-300))
        for _ in range(12):
            trial = np.maximum(point + length * step, 0.1 * point if bounds.logarithmic else 0.0)
            reached = bounds.residual(trial, thresholds)
            if reached < residual:
                break
            length *= 0.5
        else:
            return None
        point, residual = trial, reached
    return None


def _linear_complementarity(point: Array, excess: Array, slope: Array) -> Array | None:
    """Smallest solution (m,) of the conditions linearised by ``slope`` (m, m), over all active sets; None if none holds."""
    best: Array | None = None
    for chosen in product((False, True), repeat=len(point)):
        active = np.array(chosen, dtype=bool)
        candidate = np.zeros_like(point)
        if active.any():
            inner = slope[np.ix_(active, active)]
            outer = excess[active] - slope[np.ix_(active, ~active)] @ point[~active]
            try:
                candidate[active] = point[active] - np.linalg.solve(inner, outer)
            except np.linalg.LinAlgError:
                continue
        left = excess + slope @ (candidate - point)
        valid = (candidate >= 0).all() and (left[~active] >= -1e-12).all()
        if valid and (best is None or candidate.sum() < best.sum()):
            best = candidate
    return best
