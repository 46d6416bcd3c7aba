"""Intervals over labels that depend on each other by more than their prompt: those of one annotator."""

from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.annotators import added_by_annotators, joint_freedom
from mopo_pipeline.pareto.intervals import Interval


def with_annotators(
    interval: Interval, top: Array, mass: Array, units: Index, annotators: Index
) -> Interval:
    """An interval of ratios of sums, widened by what annotators of different taste add to the variance.

    With V of the prompts and V_a of ``added_by_annotators``, standard errors grow to sqrt(V + V_a), known with fewer
    degrees of freedom, for few annotators say little of how annotators differ; both ends move away from the estimate in
    proportion, and by the ratio of Student's quantiles at the interval's level. Nothing changes where nobody has a name.

    Args:
        interval: of K ratios, over units.
        top: (M, K) what each comparison adds to the sum above.
        mass: (M, K) to the sum below, >= 0.
        units: (M,) what the prompt of each was drawn with.
        annotators: (M,) who labelled each, -1 unknown.
    """
    wider, factor = np.ones((2, len(interval.se)))
    known = np.array(interval.freedom)
    quantile = 0.5 + interval.level / 2.0
    for k in np.flatnonzero(np.isfinite(interval.se) & (interval.se > 0)):
        moved = (top[:, k] - interval.estimate[k] * mass[:, k]) / mass[:, k].sum()
        added = added_by_annotators(moved, mass[:, k], units, annotators)
        if added.variance == 0.0:
            continue
        variance, freedom = float(interval.se[k] ** 2), float(interval.freedom[k])
        known[k] = min(joint_freedom(variance, freedom, added), freedom)
        wider[k] = np.sqrt(1.0 + added.variance / variance)
        factor[k] = wider[k] * stdtrit(known[k], quantile) / stdtrit(freedom, quantile)
    value = interval.estimate
    return replace(
        interval,
        low=value - factor * (value - interval.low),
        high=value + factor * (interval.high - value),
        se=wider * interval.se,
        freedom=known,
    )
