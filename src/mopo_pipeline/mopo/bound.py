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

BLOCK = 1 << 15
"""Values worked on at a time: what is computed of them stays in cache."""

ROUNDING = 1e-12
"""Standard deviations within which values are the same."""


@dataclass(frozen=True)
class Bounded:
    """The least mean over distributions within a KL ball.

    Attributes:
        value: the bound, between the least value of positive weight and the mean.
        chi: its temperature, same unit as the values; inf where the bound is the mean
            (``epsilon`` 0 or equal values), 0 where it is the least value.
    """

    value: float
    chi: float


@dataclass(frozen=True)
class LowerBound(Bounded):
    """The least mean, and where it is taken.

    Attributes:
        value: the bound.
        chi: its temperature, as ``Bounded`` says.
        weights: (N,) worst-case weights, sum 1.
    """

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
    found = bounded(values, mass, epsilon)
    if found.chi == np.inf:
        return LowerBound(found.value, np.inf, mass.copy())
    if found.chi == 0.0:
        deviation = sqrt(float(mass @ (values - mass @ values) ** 2))
        worst = np.where(values <= found.value + ROUNDING * deviation, mass, 0.0)
    else:
        above = np.maximum(values - values[mass > 0].min(), 0.0)
        worst = mass * np.exp(-above / found.chi)
    return LowerBound(found.value, found.chi, worst / worst.sum())


def bounded(values: Array, mass: Array, epsilon: float) -> Bounded:
    """``bound_mean`` of values (n,) and mass (n,) without the worst-case weights; nothing as long as they is held beside them."""
    mean = float(mass @ values)
    parts = [slice(i, i + BLOCK) for i in range(0, len(values), BLOCK)]
    least = min(float(values[p].min(initial=np.inf, where=mass[p] > 0)) for p in parts)
    deviation = sqrt(sum(float(mass[p] @ (values[p] - mean) ** 2) for p in parts))
    if epsilon == 0 or deviation <= 1e-15 * max(1.0, abs(mean)):
        return Bounded(mean, np.inf)
    end = least + ROUNDING * deviation
    if epsilon >= -np.log(sum(float(mass[p][values[p] <= end].sum()) for p in parts)):
        return Bounded(least, 0.0)
    inverse, above = _inverse_chi(values, mass, least, epsilon, deviation)
    return Bounded(least + max(above, 0.0), 1.0 / inverse)


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


def _tilted(values: Array, mass: Array, least: float, inverse: float) -> tuple[float, float, float]:
    """Worst case at 1/chi = ``inverse``: its KL from ``mass`` (n,) without cancellation, mean and variance of values (n,) above the least."""
    parts = [slice(i, i + BLOCK) for i in range(0, len(values), BLOCK)]
    total = 0.0
    for p in parts:
        above = np.maximum(values[p] - least, 0.0)
        total += float(mass[p] @ np.exp(-inverse * above))
    divergence = mean = square = 0.0
    for p in parts:
        above = np.maximum(values[p] - least, 0.0)
        log_density = -inverse * above - np.log(total)
        excess = np.expm1(log_density)
        worst = mass[p] * (excess + 1.0)
        divergence += float((worst * log_density - mass[p] * excess).sum())
        mean += float(worst @ above)
        square += float(worst @ above**2)
    return divergence, mean, square - mean**2


def _inverse_chi(
    values: Array, mass: Array, least: float, epsilon: float, deviation: float
) -> tuple[float, float]:
    """1/chi at which KL = epsilon, and the mean above the least of values (n,) of mass (n,) there.

    Newton on sqrt(2 KL), nearly linear in 1/chi, inside a bracket.
    """
    target = sqrt(2 * epsilon)
    low, high = 0.0, np.inf
    inverse = target / deviation
    for _ in range(200):
        divergence, mean, variance = _tilted(values, mass, least, inverse)
        root = sqrt(max(2 * divergence, 0.0))
        error = root - target
        if abs(error) <= 1e-13 * target:
            break
        low, high = (inverse, high) if error < 0 else (low, inverse)
        step = error * root / (inverse * variance) if variance > 0 else np.inf
        proposal = inverse - step
        if not low < proposal < high:
            proposal = 0.5 * (low + high) if np.isfinite(high) else 2 * inverse
        if abs(proposal - inverse) <= 1e-15 * inverse:
            break
        inverse = proposal
    return float(inverse), mean
