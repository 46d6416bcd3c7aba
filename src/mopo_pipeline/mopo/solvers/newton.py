"""Projected Newton for a smooth convex function of a few multipliers >= 0."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from mopo_pipeline.arrays import Array

Oracle = Callable[[Array], tuple[float, Array, Array]]
"""multipliers (m,) -> value, gradient (m,), Hessian (m, m)."""


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    Attributes:
        point: (m,) multipliers >= 0.
        value: the function there.
        gradient: (m,).
        converged: the optimality conditions hold within the tolerance.
        unbounded: the value fell below ``floor``.
        evaluations: calls of the oracle.
    """

    point: Array
    value: float
    gradient: Array
    converged: bool
    unbounded: bool
    evaluations: int


def minimise(
    oracle: Oracle,
    start: Array,
    *,
    floor: float = -np.inf,
    tolerance: float = 1e-10,
    max_steps: int = 200,
) -> Minimum:
    """Minimise over the non-negative orthant, exact Newton steps with backtracking.

    Each step solves the quadratic model under the bounds exactly (non-negative least squares), so
    a constraint enters or leaves the active set in one step.

    Args:
        oracle: value, gradient and Hessian.
        start: (m,) first point, >= 0.
        floor: a value no bounded problem goes below; reaching it ends the search.
        tolerance: on the gradient where it should be >= 0, and on point times gradient.
        max_steps: Newton steps at most.
    """
    point = np.array(start, dtype=np.float64)
    value, gradient, hessian = oracle(point)
    evaluations = 1
    for _ in range(max_steps):
        if value < floor:
            return Minimum(point, value, gradient, False, True, evaluations)
        if _optimal(point, gradient, tolerance):
            return Minimum(point, value, gradient, True, False, evaluations)
        target = _model_minimum(point, gradient, hessian)
        step = target - point
        slope = float(gradient @ step)
        length, accepted = 1.0, False
        for _ in range(60):
            trial = np.maximum(point + length * step, 0.0)
            new_value, new_gradient, new_hessian = oracle(trial)
            evaluations += 1
            noise = 4e-16 * (1 + abs(value))
            accepted = bool(np.isfinite(new_value)) and (
                new_value <= value + 1e-4 * length * slope + noise
            )
            if accepted:
                break
            length *= _shrink(length, slope, new_value - value)
        if not accepted or (trial == point).all():
            break
        point, value, gradient, hessian = trial, new_value, new_gradient, new_hessian
    converged = _optimal(point, gradient, 1e3 * tolerance)
    return Minimum(point, value, gradient, converged, value < floor, evaluations)


def _optimal(point: Array, gradient: Array, tolerance: float) -> bool:
    """Whether no multiplier (m,) can lower the dual by more than the tolerance allows."""
    return bool((gradient >= -tolerance).all() and (np.abs(point * gradient) <= tolerance).all())


def _model_minimum(point: Array, gradient: Array, hessian: Array) -> Array:
    """Minimiser (m,) over the orthant of the quadratic model, Hessian (m, m), lightly damped where it is flat."""
    scale = max(float(np.trace(hessian)), 1e-300)
    damping = max(1e-10 * scale, 1e-14 * float(np.linalg.norm(gradient)), 1e-300)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    root = np.sqrt(np.maximum(values, 0.0) + damping)
    factor = (vectors * root).T
    offset = (vectors.T @ gradient) / root
    target, _ = nnls(factor, factor @ point - offset, maxiter=50 * len(point) + 50)
    return np.asarray(target, dtype=np.float64)


def _shrink(length: float, slope: float, rise: float) -> float:
    """Factor that lands on the minimum of the parabola through the trial, within [0.1, 0.5]."""
    if not np.isfinite(rise):
        return 0.1
    curvature = 2 * (rise - length * slope)
    best = -length * slope / curvature if curvature > 0 else 0.5
    return float(np.clip(best, 0.1, 0.5))
