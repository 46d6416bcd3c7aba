"""Levels and quantiles: how sure each bound must be that all hold together."""

import math

import numpy as np
from scipy.special import ndtri, stdtrit

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.ratio import effective_number


def quantile(level: float, freedom: float) -> float:
    """One-sided quantile: Student's, normal where its degrees of freedom are infinite.

    >>> round(quantile(0.95, np.inf), 3), round(quantile(0.95, 9.0), 3)
    (1.645, 1.833)
    """
    if level <= 0.5:
        return 0.0
    return float(ndtri(level) if np.isinf(freedom) else stdtrit(freedom, level))


def degrees_of_freedom(prompts: Array) -> float:
    """Of a mean over prompts of mass (G,): one less than those that count; infinite for a single one, whose comparisons are many."""
    return np.inf if prompts.size == 1 else max(effective_number(prompts) - 1.0, 1.0)


def each_level(confidence: float, constraints: int) -> float:
    """Level at which each of several thresholds is held so that all hold at ``confidence`` (Bonferroni).

    >>> each_level(0.95, 2), each_level(0.5, 2)
    (0.975, 0.5)
    """
    return 1.0 - (1.0 - confidence) / max(constraints, 1) if confidence > 0.5 else 0.5


def fewest_units(level: float) -> int:
    """Labelled units below which a bound at a one-sided ``level`` in [0.5, 1) says nothing: that many agree by luck alone.

    Labels that are coin flips all favour the policy with probability ``2^-n`` however low the bound is put by their
    spread, of which there is then none; ``n`` is the least for which that is no likelier than the bound may fail.

    >>> fewest_units(0.95), fewest_units(0.975), fewest_units(0.5)
    (5, 6, 1)
    """
    return math.ceil(-math.log2(1.0 - level) - 1e-9)
