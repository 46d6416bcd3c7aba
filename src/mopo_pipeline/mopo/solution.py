"""What a solved problem is: multipliers, ratio, values, bounds, and how they are judged."""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.rows import Rows

MET = 1e-6
"""Win rate by which a threshold may be missed and still count as met, wherever that is asked.

A solution is certified up to ``CERTIFIED``: a sharper test would call what the solvers leave a violation. What data
leave uncertain is thousands of times larger.
"""

CERTIFIED = 1e-6
"""Duality gap up to which a point counts as optimal."""


@dataclass(frozen=True)
class DualSolution:
    """The solved problem.

    Attributes:
        multipliers: (K-1,) price of each threshold, >= 0.
        ratio: (N,) weights that teach the target policy, in the caller's row order; 0 where the
            reference has no mass. With ``pooling`` 0 it is target over reference, of mean 1 in each
            prompt; else only proportional to that within a prompt, of mean 1 over all rows.
        values: (K,) win rates of the target policy, debiased where rows are a sample and corrected
            by labels where there are any.
        bounds: (K-1,) what is held against the thresholds: the values themselves with ``epsilon``
            0, else their lower bounds.
        chi: (K-1,) temperature of each bound; inf where the bound is the plain mean.
        duality_gap: dual minus primal objective, 0 at the optimum. With comparisons or sampled
            rows, where no dual exists, the complementarity residual ``sum lambda_k (bound_k - b_k)``.
        ess: effective sample size, ``1 / E[ratio²]`` in (0, 1], a share of the rows.
        status: "active" or "inactive" per constraint; "violated" where the log barrier, whose price
            is finite, falls short of a threshold at the edge of what is attainable.
        kl: KL of the target from the reference over the rows, nats.
        epsilon: (K-1,) radius of each bound.
        effective_comparisons: (K-1,) independent comparisons as informative as those given; nan
            without any.
        effective_if_alike: (K-1,) the same if annotators did not differ from each other.
        pooling: kappa of the ratio.
        row_values: (K,) win rates of the target over the rows alone, neither debiased nor corrected; what
            few responses leave uncertain lies between them and ``values``.
    """

    multipliers: Array
    ratio: Array
    values: Array
    bounds: Array
    chi: Array
    duality_gap: float
    ess: float
    status: tuple[str, ...]
    kl: float
    epsilon: Array
    effective_comparisons: Array
    effective_if_alike: Array
    pooling: float
    row_values: Array


def lowest_objective(rows: Rows, tau: float) -> float:
    """A value below ``G_0 - tau KL`` of every policy: a dual below it has no primal solution."""
    return float(rows.columns[0].min() + tau * np.log(rows.mass.min()))


def kl_from_reference(rows: Rows, ratio: Array) -> float:
    """``E[ratio log ratio]`` of a ratio (n,), in nats."""
    total = 0.0
    for here, _, part in rows.parts():
        own = ratio[here]
        logs = np.log(own, where=own > 0, out=np.zeros_like(own))
        total += float(part.mass @ (own * logs))
    return max(total, 0.0)


def statuses(multipliers: Array, slack: Array) -> tuple[str, ...]:
    """By multipliers and slack (K-1,): active where the price exceeds the slack, violated where there is none."""
    return tuple(
        "violated"
        if room < -MET
        else "active"
        if price > max(room, 0.0) and price > 1e-9
        else "inactive"
        for price, room in zip(multipliers, slack, strict=True)
    )
