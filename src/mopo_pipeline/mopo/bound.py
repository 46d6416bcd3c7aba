"""The robust lower bound of a mean, and the radius that gives it a confidence level (eq. 4)."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.checks import check_mass, check_number, finite_array


@dataclass(frozen=True)
class LowerBound:
    """The least mean over distributions within a KL ball.

    Attributes:
        value: the bound, between the least value of positive weight and the mean.
        chi: its temperature, same unit as the values; inf where the bound is the mean
            (``epsilon`` 0 or equal values), 0 where it is the least value.
        weights: (N,) worst-case weights, sum 1.
    """

    value: float
    chi: float
    weights: Array


def lower_bound(values: ArrayLike, weights: ArrayLike | None, epsilon: float) -> LowerBound:
    """Least mean of ``values`` over distributions Q with KL(Q || weights) <= epsilon.

    Computed as max over chi > 0 of ``-chi log E_w exp(-values/chi) - chi epsilon`` (method.md,
    eq. 4), by a safeguarded Newton search for the chi whose worst-case weights
    ``Q ∝ w exp(-values/chi)`` lie on the sphere KL = epsilon.

    Args:
        values: (N,) finite numbers.
        weights: (N,) mass >= 0, any positive sum; None is uniform.
        epsilon: radius >= 0, in nats.

    Returns:
        The bound, its temperature and the worst-case weights.

    Raises:
        InputError: wrong shape, non-finite values, negative weights or epsilon.

    >>> bound = lower_bound([0.0, 1.0], [0.5, 0.5], 0.02)
    >>> round(bound.value, 4), round(bound.chi, 3)
    (0.4003, 2.475)
    >>> lower_bound([0.0, 1.0], None, 0.0).value
    0.5
    """
    array = finite_array("values", values, 1)
    mass = check_mass("weights", weights, array.size)
    radius = check_number("epsilon", epsilon, at_least=0)
    return bound_mean(array, mass, radius)


def bound_mean(values: Array, mass: Array, epsilon: float) -> LowerBound:
    """``lower_bound`` of values (n,) without the checks; ``mass`` (n,) sums to 1."""
    mean = float(mass @ values)
    support = mass > 0
    least = float(values[support].min())
    spread = values - mean
    deviation = sqrt(float(mass @ spread**2))
    if epsilon == 0 or deviation <= 1e-15 * max(1.0, abs(mean)):
        return LowerBound(mean, np.inf, mass.copy())
    lowest = support & (values <= least + 1e-12 * deviation)
    if epsilon >= -np.log(mass[lowest].sum()):
        worst = np.where(lowest, mass, 0.0)
        return LowerBound(least, 0.0, worst / worst.sum())
    inverse = _inverse_chi(spread, mass, epsilon, deviation)
    worst = _tilted(spread, mass, inverse)[0]
    return LowerBound(max(least, mean + float(worst @ spread)), 1.0 / inverse, worst)


def epsilon_for_confidence(n_comparisons: int, confidence: float) -> float:
    """Radius at which the bound covers the mean of ``n_comparisons`` draws, one-sided.

    ``epsilon = z² / (2 n)`` with ``z`` the normal quantile of ``confidence`` (method.md, section
    4): the bound then lies z standard errors below the mean, to first order.

    Args:
        n_comparisons: independent labelled comparisons, >= 1.
        confidence: in (0, 1); 0.5 or less gives 0, the plain mean.

    Raises:
        InputError: a count below 1 or a confidence outside (0, 1).

    >>> round(epsilon_for_confidence(1000, 0.95), 6)
    0.001353
    """
    count = check_number("n_comparisons", n_comparisons, at_least=1)
    level = check_number("confidence", confidence, above=0, below=1)
    return float(max(ndtri(level), 0.0) ** 2 / (2 * count))


def check_epsilon(epsilon: Any, n_constraints: int) -> Array:
    """Return one radius per constraint, (K-1,), from a number or an array of that length."""
    array = np.asarray(epsilon, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and array.size != n_constraints):
        raise InputError(
            f"epsilon must be one number or one per constraint ({n_constraints}), "
            f"got shape {array.shape}"
        )
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError(f"epsilon must be finite and >= 0, got {epsilon!r}")
    return np.array(np.broadcast_to(array, (n_constraints,)))


def _tilted(spread: Array, mass: Array, inverse: float) -> tuple[Array, float]:
    """Worst-case weights (n,) at 1/chi = ``inverse``, and their KL from ``mass`` (n,) without cancellation."""
    exponent = -inverse * spread
    peak = float(exponent[mass > 0].max())
    weights = np.where(mass > 0, mass * np.exp(np.minimum(exponent - peak, 0.0)), 0.0)
    total = weights.sum()
    weights = weights / total
    log_density = exponent - peak - np.log(total)
    with np.errstate(over="ignore"):
        parts = np.where(weights > 0, weights * log_density - mass * np.expm1(log_density), mass)
    return weights, float(parts.sum())


def _inverse_chi(spread: Array, mass: Array, epsilon: float, deviation: float) -> float:
    """1/chi at which KL = epsilon, for ``spread`` and ``mass`` (n,): Newton on sqrt(2 KL), nearly linear, inside a bracket."""
    target = sqrt(2 * epsilon)
    low, high = 0.0, np.inf
    inverse = target / deviation
    for _ in range(200):
        weights, divergence = _tilted(spread, mass, inverse)
        root = sqrt(max(2 * divergence, 0.0))
        error = root - target
        if abs(error) <= 1e-13 * target:
            break
        low, high = (inverse, high) if error < 0 else (low, inverse)
        mean = float(weights @ spread)
        variance = float(weights @ (spread - mean) ** 2)
        step = error * root / (inverse * variance) if variance > 0 else np.inf
        proposal = inverse - step
        if not low < proposal < high:
            proposal = 0.5 * (low + high) if np.isfinite(high) else 2 * inverse
        if abs(proposal - inverse) <= 1e-15 * inverse:
            break
        inverse = proposal
    return float(inverse)
