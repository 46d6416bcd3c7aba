"""Intervals over labels that depend on each other by more than their prompt: those of one annotator."""

from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.annotators import added_by_annotators, joint_freedom
from mopo_pipeline.mopo.ratio import effective_number
from mopo_pipeline.pareto.intervals import Interval


def with_annotators(
    interval: Interval, top: Array, mass: Array, units: Index, annotators: Index
) -> Interval:
    """An interval of ratios of sums, widened by what annotators of different taste add to the variance.

    With V of the prompts and V_a of ``added_by_annotators``, standard errors grow to sqrt(V + V_a), known with as many
    degrees of freedom as people less one where these are fewer: two or three who agree by luck show no V_a. Both ends
    move away from the estimate in proportion, and by the ratio of Student's quantiles at the interval's level. Nothing
    changes where nobody has a name, or one person alone.

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
        people = _people(mass[:, k], annotators)
        if not people > 1.0:
            continue
        variance, freedom = float(interval.se[k] ** 2), float(interval.freedom[k])
        joint = joint_freedom(variance, freedom, added)
        known[k] = min(joint, freedom, max(people - 1.0, 1.0))
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


def _people(mass: Array, annotators: Index) -> float:
    """As many people of equal share would say as much as those whose labels weigh mass (M,), nameless ones each their own.

    1 where fewer than two have a name.
    """
    named = (annotators >= 0) & (mass > 0)
    shares = np.bincount(annotators[named], mass[named])
    if (shares > 0).sum() < 2:
        return 1.0
    return effective_number(np.concatenate([shares, mass[annotators < 0]]))
