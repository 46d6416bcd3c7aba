"""Bootstrap intervals, drawing whole prompts again: of means, of ratios of sums, of what is made of means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.points import check_points


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; numbers, or arrays (K,) of several estimates. NaN where unknown.

    Attributes:
        estimate: what was estimated.
        low: lower end, at most the estimate.
        high: upper end, at least the estimate.
        se: standard error.
        n: prompts that carry the estimate.
        level: two-sided confidence, in (0, 1).
        freedom: degrees of freedom of the standard error: of so many prompts as theirs would be alike in mass, less one.
    """

    estimate: Any
    low: Any
    high: Any
    se: Any = float("nan")
    n: Any = float("nan")
    level: float = float("nan")
    freedom: Any = float("nan")


FEW = 8
"""Prompts below which percentiles of means drawn again hold too little: of three they cover .74 in place of .95."""


def bootstrap_means(per_prompt: ArrayLike, *, replicates: int, rng: np.random.Generator) -> Array:
    """Means over prompts drawn again with replacement.

    Args:
        per_prompt: (n, D) one row per prompt, e.g. the values of every policy side by side, so
            that all policies see the same prompts in a replicate.
        replicates: R >= 1.
        rng: source of the draws.

    Returns:
        (R, D) means.
    """
    array = check_points("per_prompt", per_prompt)
    if replicates < 1:
        raise InputError(f"replicates must be at least 1, got {replicates!r}")
    n = len(array)
    return np.asarray(_bootstrap_counts(n, replicates, rng) @ array / n)


def bootstrap_interval(
    statistic: Callable[[Array], float],
    per_prompt: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    replicates: int = 1000,
) -> Interval:
    """Percentile interval of a function of mean values, drawing prompts again.

    Args:
        statistic: takes the (D,) mean over prompts, e.g. the hypervolume of points reshaped from
            it.
        per_prompt: (n, D).
        rng: source of the draws.
        confidence: two-sided, in (0, 1).
        replicates: bootstrap replicates.

    >>> rng = np.random.default_rng(0)
    >>> data = rng.normal(1.0, 1.0, size=(400, 1))
    >>> interval = bootstrap_interval(lambda mean: mean[0], data, rng=rng)
    >>> bool(interval.low < 1.0 < interval.high)
    True
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie in (0, 1), got {confidence!r}")
    array = check_points("per_prompt", per_prompt)
    means = bootstrap_means(array, replicates=replicates, rng=rng)
    values = [statistic(mean) for mean in means]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        float(statistic(array.mean(axis=0))),
        float(low),
        float(high),
        float(np.std(values)),
        float(len(array)),
        confidence,
    )


def prompt_bootstrap(
    numerator: Array,
    denominator: Array,
    *,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> Interval:
    """Ratio of two sums over prompts, with a percentile interval from prompts drawn again.

    Prompts are drawn whole, because responses to one prompt are not independent. A mean is the
    ratio with the counts below; a self-normalised importance estimate has the ratio's sum below.
    The percentiles are those of Student's t, as a bootstrap of n prompts is too narrow by the
    factor z sqrt((n - 1) / n) / t (Hesterberg 2015, expanded percentiles). The standard error is the
    jackknife's, leaving out one prompt at a time: for a mean it is s / sqrt(n), and no draw moves it.
    Where a few prompts hold most of the mass, n is as many as would say as much were they alike, (Σm)² / Σm².
    Means drawn again never leave the range of what was seen, which of fewer than ``FEW`` prompts is too narrow: there
    the interval is at least Student's.

    Args:
        numerator: (P, K) sum per prompt.
        denominator: (P, K) or (P, 1) mass per prompt, >= 0; a prompt of mass 0 carries nothing.
        confidence: two-sided level in (0, 1).
        draws: bootstrap replicates.
        rng: source of every draw.

    Returns:
        Estimate, standard error and interval per column; where fewer than two prompts carry it the
        error and the interval are NaN, because nothing says how prompts differ.

    >>> rng = np.random.default_rng(0)
    >>> found = prompt_bootstrap(
    ...     np.array([[1.0], [3.0]]), np.full((2, 1), 4.0), confidence=0.9, draws=50, rng=rng)
    >>> float(found.estimate[0]), int(found.n[0])
    (0.5, 2)
    """
    prompts = len(numerator)
    mass = np.broadcast_to(denominator, numerator.shape)
    estimate = _ratio(numerator.sum(axis=0), mass.sum(axis=0))
    carried = (mass > 0).sum(axis=0).astype(np.float64)
    low, high, se, freedom = (np.full_like(estimate, np.nan) for _ in range(4))
    if prompts >= 2:
        counts = _bootstrap_counts(prompts, draws, rng)
        replicates = _ratio(counts @ numerator, counts @ mass)
        for k in np.flatnonzero(carried >= 2):
            freedom[k] = degrees_of_freedom(mass[:, k])
            tail = _tail(confidence, freedom[k] + 1.0)
            ends = np.nanquantile(replicates[:, k], [tail, 1.0 - tail])
            se[k] = jackknife_error(numerator[:, k], mass[:, k])
            few = freedom[k] + 1.0 < FEW and np.isfinite(se[k])
            width = se[k] * stdtrit(freedom[k], 0.5 + confidence / 2.0) if few else 0.0
            low[k] = min(ends[0], estimate[k] - width)
            high[k] = max(ends[1], estimate[k] + width)
    return Interval(estimate, low, high, se, carried, confidence, freedom)


def degrees_of_freedom(mass: Array) -> float:
    """Of a ratio of sums over prompts of mass (P,) >= 0: one less than prompts alike in mass that would say as much, at least 1.

    >>> degrees_of_freedom(np.ones(5)), degrees_of_freedom(np.array([9.0, 1.0, 1.0, 0.0]))
    (4.0, 1.0)
    """
    return max(float(mass.sum() ** 2 / (mass @ mass)) - 1.0, 1.0)


def jackknife_error(numerator: Array, mass: Array) -> float:
    """Standard error of a ratio of sums over prompts, leaving out one prompt at a time.

    Args:
        numerator: (P,) sum per prompt.
        mass: (P,) mass per prompt, >= 0; a prompt without mass says nothing.

    Returns:
        For a mean s / sqrt(n); NaN where one prompt has all the mass.

    >>> round(jackknife_error(np.array([1.0, 2.0, 3.0]), np.ones(3)), 4)
    0.5774
    """
    carried = mass > 0
    top, bottom = numerator[carried], mass[carried]
    without = _ratio(top.sum() - top, bottom.sum() - bottom)
    n = len(without)
    return float(np.sqrt((n - 1.0) / n * ((without - without.mean()) ** 2).sum()))


def sum_by(values: Array, codes: NDArray[np.intp], groups: int) -> Array:
    """Sum rows (n, K) by group code (n,), giving (groups, K)."""
    total = np.zeros((groups, values.shape[1]))
    np.add.at(total, codes, values)
    return total


def _bootstrap_counts(prompts: int, draws: int, rng: np.random.Generator) -> Array:
    """How often each prompt is drawn, (draws, prompts)."""
    counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=draws)
    return np.asarray(counts, dtype=np.float64)


def _tail(confidence: float, n: float) -> float:
    """Share of replicates below the lower end, so that n units alike in mass cover as Student's interval does."""
    quantile = stdtrit(n - 1.0, 0.5 + confidence / 2.0)
    return float(ndtr(-np.sqrt(n / (n - 1.0)) * quantile))


def _ratio(top: Array, bottom: Array) -> Array:
    """Ratio of sums, (K,) or (R, K) alike; NaN where nothing carries it."""
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
