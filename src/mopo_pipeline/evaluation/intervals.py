"""Bootstrap intervals over prompts, for means and for ratios of sums."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from mopo_pipeline.arrays import Array


class Interval(NamedTuple):
    """Estimates with standard errors and intervals, each (K,); NaN where unknown.

    Attributes:
        value: estimates.
        se: standard errors.
        low: lower ends, at most the value.
        high: upper ends, at least the value.
        n: prompts that carry each estimate.
        level: two-sided confidence of the intervals, in (0, 1).
    """

    value: Array
    se: Array
    low: Array
    high: Array
    n: Array
    level: float


def prompt_bootstrap(
    numerator: Array,
    denominator: Array,
    *,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> Interval:
    """Ratio of two sums over prompts, with a percentile interval from resampled prompts.

    Prompts are resampled whole, because responses to one prompt are not independent. A mean is the
    ratio with the counts below; a self-normalised importance estimate has the ratio's sum below.
    The percentiles are those of Student's t, as a bootstrap of n prompts is too narrow by the
    factor z sqrt((n - 1) / n) / t (Hesterberg 2015, expanded percentiles).

    Args:
        numerator: (P, K) sum per prompt.
        denominator: (P, K) or (P, 1) mass per prompt, >= 0; a prompt of mass 0 carries nothing.
        confidence: two-sided level in (0, 1).
        draws: bootstrap resamples.
        rng: source of every draw.

    Returns:
        Estimate, standard error and interval per column; where fewer than two prompts carry it the
        error and the interval are NaN, because nothing says how prompts differ.

    >>> rng = np.random.default_rng(0)
    >>> found = prompt_bootstrap(
    ...     np.array([[1.0], [3.0]]), np.full((2, 1), 4.0), confidence=0.9, draws=50, rng=rng)
    >>> float(found.value[0]), int(found.n[0])
    (0.5, 2)
    """
    prompts = len(numerator)
    mass = np.broadcast_to(denominator, numerator.shape)
    value = _ratio(numerator.sum(axis=0), mass.sum(axis=0))
    carried = (mass > 0).sum(axis=0).astype(np.float64)
    low, high, se = (np.full_like(value, np.nan) for _ in range(3))
    if prompts >= 2:
        counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=draws).astype(
            np.float64
        )
        resampled = _ratio(counts @ numerator, counts @ mass)
        for k in np.flatnonzero(carried >= 2):
            tail = _tail(confidence, carried[k])
            ends = np.nanquantile(resampled[:, k], [tail, 1.0 - tail])
            low[k], high[k] = min(ends[0], value[k]), max(ends[1], value[k])
            se[k] = np.nanstd(resampled[:, k])
    return Interval(value, se, low, high, carried, confidence)


def sum_by(values: Array, codes: NDArray[np.intp], groups: int) -> Array:
    """Sum rows (n, K) by group code (n,), giving (groups, K)."""
    total = np.zeros((groups, values.shape[1]))
    np.add.at(total, codes, values)
    return total


def _tail(confidence: float, n: float) -> float:
    """Share of resamples below the lower end, so that n units cover as Student's interval does."""
    quantile = t.ppf(0.5 + confidence / 2.0, n - 1.0)
    return float(norm.cdf(-np.sqrt(n / (n - 1.0)) * quantile))


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
