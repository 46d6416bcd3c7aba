"""Robust lower bound of a mean over a KL ball, and the radius a confidence level asks for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.validation import Array, non_negative

_MAX_NEWTON = 100
_TOLERANCE = 1e-13


@dataclass(frozen=True)
class LowerBound:
    """The bound of ``method.md`` equation (4).

    Attributes:
        value: worst mean over the ball.
        chi: temperature at the optimum; inf where the bound is the plain mean, 0 where it is the minimum.
        weights: (M,) worst-case weights Q, summing to 1.
    """

    value: float
    chi: float
    weights: Array


def epsilon_for_confidence(n_comparisons: int, confidence: float) -> float:
    """Radius at which the bound is a one-sided confidence limit: z^2 / (2 N).

    Args:
        n_comparisons: independent comparisons the mean is taken over, at least 1.
        confidence: one-sided level in (0, 1); at or below 0.5 nothing needs guarding and the radius is 0.

    Raises:
        InputError: no comparisons, or a level outside (0, 1).

    Source: ``method.md`` section 4.

    >>> round(epsilon_for_confidence(1000, 0.95), 6)
    0.001353
    """
    if n_comparisons < 1:
        raise InputError(f"a confidence level needs at least one comparison; got {n_comparisons}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie strictly between 0 and 1; got {confidence}")
    z = max(float(norm.ppf(confidence)), 0.0)
    return z * z / (2.0 * n_comparisons)


def lower_bound(values: ArrayLike, weights: ArrayLike | None, epsilon: float) -> LowerBound:
    """Smallest mean of ``values`` over all Q with KL(Q || weights) <= epsilon.

    The maximum over the temperature chi in equation (4) is where KL(Q_chi || weights) = epsilon, found by
    a safeguarded Newton iteration on 1/chi.

    Args:
        values: (M,) finite.
        weights: (M,) mass >= 0, uniform if None.
        epsilon: radius >= 0 in nats; 0 gives the plain mean.

    Raises:
        InputError: empty or mismatched arrays, non-finite values, negative mass or radius.

    >>> round(lower_bound([0.0, 1.0], None, 0.02).value, 3)
    0.4
    """
    values, weights = _checked(values, weights)
    epsilon = non_negative(epsilon, "epsilon")
    lowest = values[weights > 0].min()
    shifted = values - lowest
    mean = float(weights @ shifted)
    variance = float(weights @ (shifted - mean) ** 2)
    if epsilon == 0.0 or variance <= 0.0:
        return LowerBound(float(lowest + mean), np.inf, weights)
    at_lowest = np.where((shifted <= 0.0) & (weights > 0), weights, 0.0)
    if epsilon >= -np.log(at_lowest.sum()):
        return LowerBound(float(lowest), 0.0, at_lowest / at_lowest.sum())
    inverse = _inverse_temperature(shifted, weights, epsilon, np.sqrt(2.0 * epsilon / variance))
    worst, _, mean, _ = _tilt(shifted, weights, inverse)
    return LowerBound(float(lowest + mean), 1.0 / inverse, worst)


def _checked(values: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"values must be a non-empty vector; got shape {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"values must be finite; entry {bad} is {values[bad]}")
    if weights is None:
        return values, np.full(values.size, 1.0 / values.size)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != values.shape:
        raise InputError(f"weights must match values {values.shape}; got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise InputError("weights must be finite, >= 0 and not all zero")
    return values, weights / weights.sum()


def _tilt(shifted: Array, weights: Array, inverse: float) -> tuple[Array, float, float, float]:
    """Tilted weights Q ~ w exp(-values / chi) with their KL to w, mean and variance."""
    tilted = weights * np.exp(-inverse * shifted)
    total = tilted.sum()
    tilted /= total
    mean = float(tilted @ shifted)
    divergence = float(-inverse * mean - np.log(total))
    return tilted, divergence, mean, float(tilted @ (shifted - mean) ** 2)


def _inverse_temperature(shifted: Array, weights: Array, epsilon: float, start: float) -> float:
    """Root of KL(Q || w) = epsilon in 1/chi; KL grows from 0 with slope Var / chi."""
    low, high, inverse = 0.0, np.inf, start
    for _ in range(_MAX_NEWTON):
        _, divergence, _, variance = _tilt(shifted, weights, inverse)
        excess = divergence - epsilon
        if abs(excess) <= _TOLERANCE * epsilon:
            break
        low, high = (low, inverse) if excess > 0 else (inverse, high)
        slope = inverse * variance
        step = inverse - excess / slope if slope > 0 else np.nan
        if not low < step < high:
            step = 2.0 * low if np.isinf(high) else 0.5 * (low + high)
        if step == inverse:
            break
        inverse = step
    return inverse
