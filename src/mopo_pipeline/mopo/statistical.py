"""Thresholds that hold for lower bounds over comparisons (method.md, section 4, setting 2).

The ratio keeps its closed form (2); the multipliers are the smallest whose bounds meet the
thresholds with complementary slackness: ``lambda >= 0, bound - b >= 0``, one of the two zero. There
is no dual function behind these conditions. A bound rises with its own multiplier and then falls
again, as the ratio concentrates on fewer comparisons, so the search starts at zero and takes the
first solution it meets.
"""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from mopo_pipeline.mopo import barrier
from mopo_pipeline.mopo.bound import LowerBound
from mopo_pipeline.mopo.comparisons import CompiledComparisons
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError
from mopo_pipeline.mopo.feasibility import TOLERANCE
from mopo_pipeline.mopo.ratio import Tilted, sorted_ratio, tilt
from mopo_pipeline.mopo.rows import Rows

if TYPE_CHECKING:
    from mopo_pipeline.mopo.dual import DualSolution

Array = NDArray[np.float64]

CONVERGED = 1e-9
"""Residual of the complementarity conditions, win rates."""


@dataclass(frozen=True)
class _State:
    """Everything known at one multiplier vector."""

    point: Array
    tilted: Tilted
    bounds: list[LowerBound]
    values: Array
    jacobian: Array


@dataclass(frozen=True)
class _Problem:
    rows: Rows
    tau: float
    pooling: float
    epsilon: Array
    compiled: CompiledComparisons
    logarithmic: bool

    def at(self, point: Array) -> _State:
        """Bounds (K-1,) and their Jacobian in the multipliers (K-1, K-1)."""
        rows = self.rows
        tilted = tilt(rows, point, self.tau, self.pooling)
        ratio = sorted_ratio(rows, tilted.weights)
        bounds = self.compiled.bounds(ratio, self.epsilon)
        pull = self.compiled.gradients(bounds, len(ratio)) * ratio
        constrained = rows.columns[1:]
        per_group = np.add.reduceat(pull, rows.starts, axis=1)
        jacobian = (pull @ constrained.T - per_group @ tilted.centres[1:].T) / self.tau
        return _State(point, tilted, bounds, np.array([b.value for b in bounds]), jacobian)

    def excess(self, state: _State, thresholds: Array) -> tuple[Array, Array]:
        """What must be >= 0 and complementary to the multipliers, and its Jacobian."""
        slack, slope = state.values - thresholds, state.jacobian
        if self.logarithmic:
            slack = slack - barrier.slack_at(state.point)
            slope = slope + np.diag(barrier.curvature(state.point))
        return slack, slope


def solve_over_comparisons(
    rows: Rows, thresholds: Array, tau: float, pooling: float, epsilon: Array,
    compiled: CompiledComparisons, logarithmic: bool,
) -> "DualSolution":  # fmt: skip
    """Find the multipliers, or say what is attainable."""
    problem = _Problem(rows, tau, pooling, epsilon, compiled, logarithmic)
    state = _newton(problem, thresholds, _start(problem))
    if state is None:
        reached = _closest(problem, thresholds)
        state = _lowered(problem, thresholds, reached)
        if state is None:
            raise _infeasible(problem, thresholds, reached)
    return _describe(problem, state, thresholds)


def _describe(problem: _Problem, state: _State, thresholds: Array) -> "DualSolution":
    from mopo_pipeline.mopo.dual import (
        DualSolution,
        effective_share,
        kl_from_reference,
        statuses,
    )

    rows = problem.rows
    ratio = sorted_ratio(rows, state.tilted.weights)
    residual, _ = problem.excess(state, thresholds)
    return DualSolution(
        multipliers=state.point,
        ratio=rows.restore(ratio),
        values=state.tilted.values,
        bounds=state.values,
        chi=np.array([bound.chi for bound in state.bounds]),
        duality_gap=float(state.point @ residual),
        ess=effective_share(rows, ratio),
        status=statuses(state.point, state.values - thresholds),
        kl=kl_from_reference(rows, ratio),
        dual_value=float("nan"),
    )


def _start(problem: _Problem) -> Array:
    return np.full(problem.epsilon.size, barrier.START if problem.logarithmic else 0.0)


def _lowered(problem: _Problem, thresholds: Array, reached: _State) -> _State | None:
    """From multipliers that meet the thresholds, the smallest that do; None where they don't."""
    if (reached.values < thresholds - TOLERANCE).any():
        return None
    found = _newton(problem, thresholds, reached.point)
    if found is None:
        reached = _descend(problem, thresholds, reached)
        found = _newton(problem, thresholds, reached.point) or reached
    return found if (found.values >= thresholds - TOLERANCE).all() else None


def _newton(
    problem: _Problem, thresholds: Array, start: Array, max_steps: int = 100
) -> _State | None:
    """Newton on the complementarity conditions with a cap on the step; None where it stalls."""
    state = problem.at(start)
    for _ in range(max_steps):
        excess, slope = problem.excess(state, thresholds)
        residual = _residual(state.point, excess)
        if residual <= CONVERGED:
            return state
        target = _linear_complementarity(state.point, excess, slope)
        if target is None:
            return None
        step = target - state.point
        cap = max(1.0, 2.0 * float(np.abs(state.point).max(initial=0.0)))
        length = min(1.0, cap / max(float(np.abs(step).max()), 1e-300))
        for _ in range(12):
            trial = problem.at(_positive(problem, state.point, step, length))
            if _residual(trial.point, problem.excess(trial, thresholds)[0]) < residual:
                break
            length *= 0.5
        else:
            return None
        state = trial
    return None


def _positive(problem: _Problem, point: Array, step: Array, length: float) -> Array:
    moved = point + length * step
    return np.maximum(moved, 0.1 * point if problem.logarithmic else 0.0)


def _residual(point: Array, excess: Array) -> float:
    """Largest violation of ``min(lambda, excess) = 0``."""
    return float(np.abs(np.minimum(point, excess)).max(initial=0.0))


def _linear_complementarity(point: Array, excess: Array, slope: Array) -> Array | None:
    """Smallest solution of the linearised conditions, over all active sets; None if none holds."""
    best: Array | None = None
    for chosen in product((False, True), repeat=len(point)):
        active = np.array(chosen, dtype=bool)
        candidate = np.zeros_like(point)
        if active.any():
            inner = slope[np.ix_(active, active)]
            outer = excess[active] + slope[np.ix_(active, ~active)] @ (0.0 - point[~active])
            try:
                candidate[active] = point[active] - np.linalg.solve(inner, outer)
            except np.linalg.LinAlgError:
                continue
        left = excess + slope @ (candidate - point)
        valid = (candidate >= 0).all() and (left[~active] >= -1e-12).all()
        if valid and (best is None or candidate.sum() < best.sum()):
            best = candidate
    return best


def _closest(problem: _Problem, thresholds: Array) -> _State:
    """Multipliers whose bounds fall short of the thresholds by least (Euclidean).

    The shortfall has several local minima, so the descent starts from the best two of a coarse
    grid: along every axis, and along the diagonal.
    """
    size = thresholds.size
    corner = np.full(size, barrier.START if problem.logarithmic else 0.0)
    axes = [*np.eye(size), np.ones(size)]
    grid = [corner] + [
        corner + scale * axis for axis in axes for scale in (0.1, 0.3, 1.0, 3.0, 10.0)
    ]
    states = sorted((problem.at(point) for point in grid), key=lambda s: _shortfall(s, thresholds))
    best = states[0]
    for start in states[:2]:
        found = _descend_shortfall(problem, thresholds, start)
        if _shortfall(found, thresholds) < _shortfall(best, thresholds):
            best = found
    return best


def _shortfall(state: _State, thresholds: Array) -> float:
    return float(np.linalg.norm(np.maximum(thresholds - state.values, 0.0)))


def _descend_shortfall(problem: _Problem, thresholds: Array, start: _State) -> _State:
    """Least squares from one point; each point is evaluated once for value and Jacobian."""
    seen: dict[bytes, _State] = {}

    def at(point: Array) -> _State:
        key = point.tobytes()
        if key not in seen:
            seen[key] = problem.at(point)
        return seen[key]

    def residuals(point: Array) -> Array:
        return np.maximum(thresholds - at(point).values, 0.0)

    def slopes(point: Array) -> Array:
        state = at(point)
        return np.asarray(-state.jacobian * (state.values < thresholds)[:, None])

    least_squares(
        residuals, start.point + 1e-9, jac=slopes, bounds=(0.0, np.inf), max_nfev=60,
        xtol=1e-12, ftol=1e-14, gtol=1e-12,
    )  # fmt: skip
    return min(seen.values(), key=lambda state: _shortfall(state, thresholds))


def _descend(problem: _Problem, thresholds: Array, state: _State) -> _State:
    """Lower one multiplier after another as far as every threshold still holds."""
    point = state.point.copy()
    for _ in range(6):
        before = point.copy()
        for k in np.flatnonzero(point > 0):
            low, high = 0.0, float(point[k])
            for _ in range(20):
                point[k] = 0.5 * (low + high)
                held = (problem.at(point).values >= thresholds - TOLERANCE).all()
                low, high = (low, float(point[k])) if held else (float(point[k]), high)
            point[k] = high
        if np.abs(point - before).max(initial=0.0) <= 1e-6:
            break
    return problem.at(point)


def _greatest(problem: _Problem, k: int) -> float:
    """Most the bound of constraint k reaches over all multipliers."""
    unreachable = np.full(problem.epsilon.size, -np.inf)
    unreachable[k] = 10.0
    return float(_closest(problem, unreachable).values[k])


def _infeasible(problem: _Problem, thresholds: Array, reached: _State) -> InfeasibleThresholdsError:
    """What each bound reaches alone, and the nearest thresholds the solver really meets."""
    attainable = np.array([_greatest(problem, k) for k in range(thresholds.size)])
    nearest = np.minimum(reached.values, thresholds)
    safe = np.minimum(problem.at(_start(problem)).values, nearest)
    for share in (1.0, 0.999, 0.99, 0.9, 0.5, 0.0):
        relaxed = safe + share * (nearest - safe) - 1e-7
        state = _newton(problem, relaxed, _start(problem))
        if state is None:
            state = _lowered(problem, relaxed, reached)
        if state is not None and (state.values >= relaxed - TOLERANCE).all():
            break
    return InfeasibleThresholdsError(thresholds, np.maximum(attainable, relaxed), relaxed)
