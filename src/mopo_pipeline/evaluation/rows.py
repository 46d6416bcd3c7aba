"""Rows of ``objective_values``: one per policy, objective and estimator."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import Interval

DOUBLY_ROBUST = "doubly_robust"

LABELS = "labels"

EXACT = "exact"

LABEL_BASED = (DOUBLY_ROBUST, LABELS)
"""Estimators that rest on test labels, so that effective comparisons limit them."""

_TEXTS = ("policy", "objective", "estimator")

_NUMBERS = ("value", "se", "ci_low", "ci_high", "n", "level", "effective", "freedom")


def bounded(interval: Interval, lost: float = 0.0) -> Interval:
    """Ends clipped to [0, 1], apart where all prompts agree; an estimate outside is clipped and loses its error and interval.

    A share ``lost`` of what the estimates (K,) speak of may be worth anything (``pareto.bounds``).
    """
    interval = of_shares(interval)
    value = interval.estimate
    outside = (value < 0.0) | (value > 1.0)
    low, high = interval.low - lost * value, interval.high + lost * (1.0 - value)
    low, high, se = (
        np.where(outside, np.nan, end)
        for end in (low.clip(0.0, 1.0), high.clip(0.0, 1.0), interval.se)
    )
    return replace(interval, estimate=interval.estimate.clip(0.0, 1.0), low=low, high=high, se=se)


def value_rows(
    policy: str,
    estimator: str,
    objectives: tuple[str, ...],
    interval: Interval,
    effective: Array | float = np.nan,
) -> pd.DataFrame:
    """One row per objective, in the columns of ``objective_values``; ``effective`` is (K,) or one number.

    ``n`` is the number of prompts, ``level`` the confidence of the interval, ``effective`` the
    number of effective comparisons, NaN where an estimate rests on none, ``freedom`` the degrees of freedom of ``se``.
    """
    return pd.DataFrame(
        {
            "policy": policy,
            "objective": list(objectives),
            "estimator": estimator,
            "value": interval.estimate,
            "se": interval.se,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "n": interval.n,
            "level": interval.level,
            "effective": effective,
            "freedom": interval.freedom,
        }
    )


def no_values() -> pd.DataFrame:
    """``objective_values`` without rows, columns typed."""
    numbers = dict.fromkeys(_NUMBERS, pd.Series(dtype=np.float64))
    return pd.DataFrame(dict.fromkeys(_TEXTS, pd.Series(dtype=str)) | numbers)
