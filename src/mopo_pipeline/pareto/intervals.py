"""Bootstrap intervals, resampling whole prompts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.points import check_points


@dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval."""

    estimate: float
    low: float
    high: float


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
    counts = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    return np.asarray(counts @ array / n)


def bootstrap_interval(
    statistic: Callable[[Array], float], per_prompt: ArrayLike, *, rng: np.random.Generator,
    confidence: float = 0.95, replicates: int = 1000,
) -> Interval:  # fmt: skip
    """Percentile interval of a function of mean values, resampling prompts.

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
    return Interval(float(statistic(array.mean(axis=0))), float(low), float(high))
