"""Bootstrap intervals over prompts, for means and for ratios of sums."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate with its standard error and interval, each (K,); NaN where it is unknown."""

    value: Array
    se: Array
    low: Array
    high: Array


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

    Args:
        numerator: (P, K) sum per prompt.
        denominator: (P, K) or (P, 1) mass per prompt, >= 0.
        confidence: two-sided level in (0, 1).
        draws: bootstrap resamples.
        rng: source of every draw.

    Returns:
        Estimate, standard error and interval per column; with a single prompt the error and the
        interval are NaN, because nothing says how prompts differ.

    >>> rng = np.random.default_rng(0)
    >>> found = prompt_bootstrap(
    ...     np.array([[1.0], [3.0]]), np.full((2, 1), 4.0), confidence=0.9, draws=50, rng=rng)
    >>> float(found.value[0])
    0.5
    """
    prompts = len(numerator)
    mass = np.broadcast_to(denominator, numerator.shape)
    value = _ratio(numerator.sum(axis=0), mass.sum(axis=0))
    if prompts < 2:
        unknown = np.full_like(value, np.nan)
        return Interval(value, unknown, unknown, unknown)
    counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=draws).astype(
        np.float64
    )
    resampled = _ratio(counts @ numerator, counts @ mass)
    tail = (1.0 - confidence) / 2.0
    known = ~np.isnan(resampled).all(axis=0)
    low, high, se = (np.full_like(value, np.nan) for _ in range(3))
    low[known], high[known] = np.nanquantile(resampled[:, known], [tail, 1.0 - tail], axis=0)
    se[known] = np.nanstd(resampled[:, known], axis=0)
    return Interval(value, se, low, high)


def sum_by(values: Array, codes: NDArray[np.intp], groups: int) -> Array:
    """Sum rows (n, K) by group code (n,), giving (groups, K)."""
    total = np.zeros((groups, values.shape[1]))
    np.add.at(total, codes, values)
    return total


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
