"""Comparisons that depend on each other by more than their prompt: those of one annotator."""

from typing import NamedTuple

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.ratio import effective_number


class Added(NamedTuple):
    """What annotators add to the variance of a mean.

    Attributes:
        variance: >= 0.
        freedom: degrees of freedom it is known with; inf where it is 0.
    """

    variance: float
    freedom: float


NOTHING = Added(0.0, np.inf)


def added_by_annotators(
    moved: Array, mass: Array, prompts: Index | None, annotators: Index
) -> Added:
    r"""Variance of a mean beyond that of its prompts, because annotators differ in taste.

    Of sums over prompts g, annotators a, and both, with n clusters each and factors n / (n - 1),

        V = V_prompts + V_annotators - V_both,    V_c = n / (n - 1) sum_c (sum_{i in c} moved_i)^2:

    what is returned is V_annotators - V_both where that is positive. Comparisons of unknown annotators are each one's own,
    and add nothing. A single annotator has no taste apart from that of the data.

    Args:
        moved: (M,) what each comparison adds to the deviation of the mean.
        mass: (M,) what it weighs in the mean, >= 0.
        prompts: (M,) prompt of each; None where comparisons are independent but for their annotators.
        annotators: (M,) who labelled each, -1 unknown.

    Source: Cameron, Gelbach and Miller, Robust inference with multiway clustering, 2011.
    """
    known = annotators >= 0
    who = np.unique(annotators[known], return_inverse=True)[1]
    count = int(who.max(initial=-1)) + 1
    if count < 2:
        return NOTHING
    own = np.flatnonzero(known) if prompts is None else prompts[known]
    both = np.unique(own.astype(np.int64) * count + who, return_inverse=True)[1]
    by_annotator, by_both, weight = (
        np.bincount(codes, values[known]).astype(np.float64)
        for codes, values in ((who, moved), (both, moved), (who, mass))
    )
    shared = _variance(by_annotator) - _variance(by_both)
    if not shared > 0.0:
        return NOTHING
    return Added(shared, max(effective_number(weight) - 1.0, 1.0))


def joint_freedom(variance: float, freedom: float, added: Added) -> float:
    """Degrees of freedom of a sum of two estimated variances (Satterthwaite).

    >>> joint_freedom(1.0, 10.0, Added(0.0, np.inf)), joint_freedom(1.0, 10.0, Added(1.0, 10.0))
    (10.0, 20.0)
    """
    spread = variance**2 / freedom + added.variance**2 / added.freedom
    return (variance + added.variance) ** 2 / spread if spread > 0.0 else freedom


def _variance(sums: Array) -> float:
    """Of a total of independent sums (n,) around 0."""
    return float(sums @ sums) * sums.size / max(sums.size - 1, 1)
