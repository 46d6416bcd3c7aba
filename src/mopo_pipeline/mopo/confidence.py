"""Levels and quantiles: how sure each bound must be that all hold together."""

from scipy.stats import norm, t

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.ratio import effective_number


def quantile(level: float, prompts: Array) -> float:
    """One-sided quantile: normal for a single prompt, else Student's for the prompts that count, of mass (G,).

    >>> import numpy as np
    >>> round(quantile(0.95, np.ones(1)), 3), round(quantile(0.95, np.full(10, 0.1)), 3)
    (1.645, 1.833)
    """
    if level <= 0.5:
        return 0.0
    if prompts.size == 1:
        return float(norm.ppf(level))
    return float(t.ppf(level, max(effective_number(prompts) - 1.0, 1.0)))


def each_level(confidence: float, constraints: int) -> float:
    """Level at which each of several thresholds is held so that all hold at ``confidence`` (Bonferroni).

    >>> each_level(0.95, 2), each_level(0.5, 2)
    (0.975, 0.5)
    """
    return 1.0 - (1.0 - confidence) / max(constraints, 1) if confidence > 0.5 else 0.5
