"""Part of a step: weights tempered until enough of the rows stays effective."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.checks import check_mass, check_number
from mopo_pipeline.mopo.ratio import effective_number


def tempered(weights: ArrayLike, share: float) -> Array:
    """``weights ** a`` with mean 1, for the largest a <= 1 that keeps ``share`` of the rows effective.

    ``ratio ** a`` is the ratio of the problem with temperature tau / a and the same multipliers: a
    step towards the same policy, shorter where the step asked for rests on few rows (adaptive
    tempering by effective sample size, as in sequential Monte Carlo). Where the reference moves
    after each step, the fixed point is the same.

    Args:
        weights: (N,) >= 0, any positive sum.
        share: effective share of the rows to keep, in [0, 1); 0 returns the weights as they are.

    Returns:
        (N,) with mean 1. Rows of weight 0 keep it; where fewer than ``share`` of the rows have
        weight, the others become equal.

    >>> tempered([1.0, 1.0, 2.0], 0.5).tolist()
    [0.75, 0.75, 1.5]
    >>> from mopo_pipeline.mopo.ratio import effective_share
    >>> bounded = tempered([1.0, 1.0, 100.0], 0.9)
    >>> round(effective_share(bounded), 6)
    0.9
    """
    mass = check_mass("weights", weights, np.size(weights))
    positive = mass > 0
    step = np.zeros_like(mass)
    step[positive] = np.exp(tempering_power(mass, share) * np.log(mass[positive] / mass.max()))
    return np.asarray(step / step.mean())


def tempering_power(weights: ArrayLike, share: float) -> float:
    """The largest a <= 1, in [0, 1], at which ``weights ** a`` (N,) keep ``share`` of the rows effective."""
    mass = check_mass("weights", weights, np.size(weights))
    kept = check_number("share", share, at_least=0)
    log_mass = np.log(mass[mass > 0] / mass.max())

    def excess(power: float) -> float:
        part = np.exp(power * log_mass)
        return effective_number(part) / mass.size - kept

    if excess(1.0) >= 0:
        return 1.0
    if excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-12))
