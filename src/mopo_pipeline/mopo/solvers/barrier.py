"""The log-barrier variant: ``sigma sum log(bound_k - b_k)`` in place of hard thresholds.

Below ``SMALL_SLACK`` the logarithm continues as its second-order expansion, so it is defined and
concave everywhere. In the dual this adds a convex function of the multipliers, the conjugate of the
barrier; at the optimum ``lambda_k = sigma / slack_k``.
"""

import numpy as np

from mopo_pipeline.arrays import Array

STRENGTH = 1e-3
"""sigma: what a log unit of slack is worth in primary win rate."""

SMALL_SLACK = 1e-3
"""Slack, in win rate, below which the logarithm continues as a parabola."""

START = 0.1
"""First multiplier; any positive number will do."""

_STEEPEST = STRENGTH / SMALL_SLACK


def utility(slack: Array) -> float:
    """The barrier of slack (m,): sum over constraints of sigma log(slack), continued below SMALL_SLACK."""
    near = (slack - SMALL_SLACK) / SMALL_SLACK
    logs = np.log(np.maximum(slack, SMALL_SLACK))
    low = np.log(SMALL_SLACK) + near - 0.5 * near**2
    return float(STRENGTH * np.where(slack >= SMALL_SLACK, logs, low).sum())


def slack_at(multipliers: Array) -> Array:
    """Slack whose marginal utility is the multiplier, (K-1,)."""
    safe = np.maximum(multipliers, 1e-300)
    return np.where(
        multipliers <= _STEEPEST, STRENGTH / safe, SMALL_SLACK * (2 - multipliers / _STEEPEST)
    )


def conjugate(multipliers: Array) -> float:
    """Max over slack of utility minus multipliers (m,) times slack."""
    slack = slack_at(multipliers)
    return utility(slack) - float(multipliers @ slack)


def curvature(multipliers: Array) -> Array:
    """Minus the derivative of ``slack_at``, (K-1,)."""
    safe = np.maximum(multipliers, 1e-150)
    return np.where(multipliers <= _STEEPEST, STRENGTH / safe**2, SMALL_SLACK / _STEEPEST)


def add(
    multipliers: Array, value: float, gradient: Array, hessian: Array
) -> tuple[float, Array, Array]:
    """Add the conjugate to a dual, its gradient (m,) and its Hessian (m, m); infinite at a multiplier of 0."""
    if (multipliers <= 0).any():
        return np.inf, gradient, hessian
    return (
        value + conjugate(multipliers),
        gradient - slack_at(multipliers),
        hessian + np.diag(curvature(multipliers)),
    )
