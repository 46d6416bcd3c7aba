"""One-sided bounds on means over prompts, and how many prompts would decide (method.md, section 11)."""

import math
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.intervals import Interval

MOST_PROMPTS = 10_000_000
"""Prompts beyond which a question counts as undecidable."""


MIN_PROMPTS = 20
"""Fewest prompts whose mean is taken for nearly normal (measured: ``make bench-certificate-calibration``)."""


def alpha_of_look(alpha: float, number: int) -> float:
    """What a look may spend of the error probability: ``alpha (6 / pi²) / number²``.

    The shares of all looks sum to alpha, however many there will be. A first look keeps 61 % of it, where
    halving at every look would leave 50 %; a tenth keeps 0.6 % against 0.1 %.

    >>> round(sum(alpha_of_look(0.05, number) for number in range(1, 10_000)), 4)
    0.05
    """
    return alpha * 6.0 / (math.pi * number) ** 2


SAME = 1e-12
"""Standard error of a share below which all prompts say the same."""


def half_width(spread: float, prompts: float, level: float, freedom: float | None = None) -> float:
    """Distance of a one-sided bound from a mean over prompts: ``t(level, freedom) spread / sqrt(P)``.

    Args:
        spread: standard deviation over prompts, >= 0.
        prompts: P > 1 independent prompts.
        level: one-sided, in [0.5, 1).
        freedom: degrees of freedom that the spread is known with; None: P - 1.

    >>> round(half_width(0.05, 43, 0.975), 4)
    0.0154
    """
    if not 0.5 <= level < 1.0:
        raise InputError(f"a one-sided level must lie in [0.5, 1), got {level!r}")
    known = prompts - 1.0 if freedom is None else freedom
    return float(stdtrit(known, level)) * spread / math.sqrt(prompts)


def bounds(
    value: float,
    se: float,
    prompts: float,
    level: float,
    freedom: float | None = None,
    lost: float = 0.0,
) -> tuple[float, float]:
    """Lower and upper one-sided bound of a win rate, each at ``level``; NaN where nothing says.

    Student's t over prompts, with fewer degrees of freedom where a few of them, or of their annotators, carry most. Where all prompts say the same, their spread of 0 is no certainty: a
    share of ``1 - alpha^(1/P)`` of all prompts may say anything else and still not have been met. Where a share ``lost`` of
    what a policy says was not seen, that may be worth anything.

    Args:
        value: mean over prompts, in [0, 1].
        se: its standard error over prompts, >= 0.
        prompts: how many carry it.
        level: one-sided, in [0.5, 1).
        freedom: degrees of freedom of the standard error; None: one less than the prompts.
        lost: share of what the value speaks of that was not seen, in [0, 1].

    >>> low, high = bounds(0.52, 0.01, 43, 0.975)
    >>> round(low, 4), round(high, 4)
    (0.4998, 0.5402)
    >>> round(bounds(1.0, 0.0, 43, 0.975)[0], 4)
    0.9178
    >>> round(low - bounds(0.52, 0.01, 43, 0.975, lost=0.1)[0], 4)
    0.052
    """
    if not prompts > 1 or math.isnan(value) or math.isnan(se):
        return math.nan, math.nan
    if se <= SAME:
        unseen = min(1.0 - (1.0 - level) ** (1.0 / prompts) + lost, 1.0)
        return value - unseen * value, value + unseen * (1.0 - value)
    width = half_width(se * math.sqrt(prompts), prompts, level, freedom)
    low, high = value - width - lost * value, value + width + lost * (1.0 - value)
    return max(low, 0.0), min(high, 1.0)


def of_shares(interval: Interval) -> Interval:
    """An interval of shares in [0, 1] that does not close where all prompts say the same (see ``bounds``).

    >>> five = Interval(np.ones(1), np.ones(1), np.ones(1), np.zeros(1), np.full(1, 5.0), 0.95)
    >>> of_shares(five).low.round(3).tolist(), of_shares(five).high.tolist()
    ([0.478], [1.0])
    """
    low, high = interval.low.copy(), interval.high.copy()
    for k in np.flatnonzero(interval.se <= SAME):
        low[k], high[k] = bounds(
            interval.estimate[k], 0.0, interval.n[k], 0.5 + interval.level / 2.0
        )
    return replace(interval, low=low, high=high)


def prompts_needed(spread: float, room: float, level: float, counted: float = 1.0) -> int | None:
    """Fewest prompts whose one-sided bound lies within ``room`` of the mean; None where none would do.

    Args:
        spread: standard deviation over prompts, >= 0.
        room: distance of the mean from what its bound must reach.
        level: one-sided, in [0.5, 1).
        counted: what part of the prompts their degrees of freedom amount to, in (0, 1].

    >>> needed = prompts_needed(0.05, 0.01, 0.975)
    >>> needed, half_width(0.05, needed, 0.975) <= 0.01 < half_width(0.05, needed - 1, 0.975)
    (99, True)
    >>> prompts_needed(0.05, 0.0, 0.975) is None
    True
    """

    def width(prompts: int) -> float:
        freedom = max(counted * prompts - 1.0, min(prompts - 1.0, 1.0))
        return half_width(spread, prompts, level, freedom)

    if not room > 0.0 or width(MOST_PROMPTS) > room:
        return None
    low, high = 1, MOST_PROMPTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if width(middle) <= room else (middle, high)
    return high
