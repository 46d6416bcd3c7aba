"""Exact minimisation of the dual over non-negative multipliers."""

import numpy as np

from mopo_pipeline.errors import MopoError
from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.tilt import Tilt, tilt
from mopo_pipeline.mopo.validation import Array

GRADIENT_TOLERANCE = 1e-11
_MAX_ITERATIONS = 200


class DualConvergenceError(MopoError, RuntimeError):
    """The dual did not reach its tolerance; thresholds sit at the very edge of the attainable set."""


def minimise_dual(
    problem: Problem,
    thresholds: Array,
    tau: float,
    *,
    start: Array | None = None,
    barrier: float = 0.0,
    cap: float = np.inf,
) -> tuple[Array, Tilt]:
    """Minimise g(lambda) - barrier * sum(log lambda) over lambda >= 0 by projected Newton steps.

    Args:
        problem: rows by prompt.
        thresholds: (K-1,).
        tau: temperature > 0.
        start: (K-1,) warm start >= 0.
        barrier: weight sigma of the log-barrier variant; 0 for the Lagrangian.
        cap: largest multiplier; beyond it the thresholds are taken for unreachable.

    Returns:
        The multipliers (K-1,) and the policy's evaluation there.

    Raises:
        DualConvergenceError: a multiplier ran past ``cap``, or no convergence.
    """
    n = thresholds.size
    point = np.zeros(n) if start is None else np.array(start, dtype=np.float64)
    if barrier > 0:
        point = np.maximum(point, np.sqrt(barrier * tau))
    current = tilt(problem, point, tau)
    for _ in range(_MAX_ITERATIONS):
        gradient = current.values[1:] - thresholds
        curvature = current.covariance / tau
        if barrier > 0:
            gradient = gradient - barrier / point
            curvature = curvature + np.diag(barrier / point**2)
        free = (point > 0) | (gradient < 0)
        residual = np.where(free, gradient, 0.0)
        if np.abs(residual).max(initial=0.0) <= GRADIENT_TOLERANCE:
            return point, current
        direction = _newton_direction(gradient, curvature, free)
        moved = _line_search(problem, thresholds, tau, barrier, point, current, gradient, direction)
        if moved is None:
            return point, current
        point, current = moved
        if point.max() > cap:
            raise DualConvergenceError(f"multipliers ran past {cap:g}: {point.tolist()}")
    raise DualConvergenceError(
        f"no convergence in {_MAX_ITERATIONS} Newton steps; residual {np.abs(residual).max():.2e}"
    )


def _newton_direction(gradient: Array, curvature: Array, free: Array) -> Array:
    """Newton step on the free multipliers, lightly damped where the curvature vanishes."""
    direction = np.zeros_like(gradient)
    index = np.flatnonzero(free)
    block = curvature[np.ix_(index, index)]
    damping = 1e-12 * max(np.trace(block), 1e-300)
    direction[index] = -np.linalg.lstsq(block + damping * np.eye(index.size), gradient[index], rcond=None)[0]
    if direction @ gradient >= 0:
        direction[index] = -gradient[index]
    return direction


def _line_search(
    problem: Problem,
    thresholds: Array,
    tau: float,
    barrier: float,
    point: Array,
    current: Tilt,
    gradient: Array,
    direction: Array,
) -> tuple[Array, Tilt] | None:
    """Backtrack along the projected path until the objective falls enough; None at the precision limit."""

    def objective(at: Array, evaluated: Tilt) -> float:
        value = evaluated.dual - float(at @ thresholds)
        return value - barrier * float(np.log(at).sum()) if barrier > 0 else value

    before = objective(point, current)
    floor = point * 0.01 if barrier > 0 else 0.0
    step = 1.0
    while step > 1e-10:
        candidate = np.maximum(point + step * direction, floor)
        change = float(gradient @ (candidate - point))
        evaluated = tilt(problem, candidate, tau)
        after = objective(candidate, evaluated)
        rounding = 1e-15 * (1.0 + abs(before))
        if after <= before + 1e-4 * change + rounding:
            return (candidate, evaluated) if not np.array_equal(candidate, point) else None
        step *= 0.5
    return None
