"""What a solved problem says before anything is trained (method.md, section 7)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.diagnosis.agreement import rank_agreement
from mopo_pipeline.mopo.diagnosis.findings import (
    Finding,
    Limits,
    by_severity,
    few_effective,
    runaway,
)
from mopo_pipeline.mopo.solution import DualSolution


def diagnose_plan(
    solution: DualSolution,
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    attainable: ArrayLike,
    *,
    objectives: Sequence[str],
    groups: ArrayLike | None = None,
    limits: Limits | None = None,
) -> list[Finding]:
    """What the solved problem says before anything is trained.

    Args:
        solution: of ``solve_dual`` on these win rates and thresholds.
        win_rates: (N, K) in [0, 1].
        thresholds: (K-1,) win rates.
        attainable: (K, 2) low and high of each objective.
        objectives: K names, the primary first.
        groups: (N,) integer prompt ids.
        limits: where findings begin.

    Returns:
        Findings, errors first; empty where nothing needs saying.
    """
    bar = limits or Limits()
    asked = np.asarray(thresholds, dtype=np.float64)
    found = [
        *_violated(solution, asked, objectives),
        *_unbound(solution, asked, objectives),
        *_edges(asked, np.asarray(attainable, dtype=np.float64), objectives, bar),
        *_agreeing(rank_agreement(win_rates, groups), objectives, bar),
        *_margins(solution, objectives, bar),
        *_debiased(solution, objectives, bar),
        *runaway(solution.multipliers, objectives, bar, "warning"),
        *_weights(solution, bar),
    ]
    if solution.kl < bar.min_kl:
        found.append(
            Finding(
                "the plan hardly moves the policy",
                solution.kl,
                bar.min_kl,
                "win rates differ too little for this temperature: lower plan.tau, or check the labels",
            )
        )
    if not abs(solution.duality_gap) <= bar.max_gap:
        found.append(
            Finding(
                "duality gap open",
                solution.duality_gap,
                bar.max_gap,
                "the multipliers are not optimal to this accuracy: raise plan.tau or lower plan.thresholds",
            )
        )
    return by_severity(found)


def _violated(
    solution: DualSolution, thresholds: Array, objectives: Sequence[str]
) -> list[Finding]:
    """Thresholds (K-1,) that the plan does not hold."""
    rows = zip(objectives[1:], solution.status, solution.bounds, thresholds, strict=True)
    return [
        Finding(
            f"plan falls short: {name}",
            float(bound),
            float(asked),
            f"the log barrier's price is finite: lower plan.thresholds.{name} or set plan.variant=lagrangian",
        )
        for name, status, bound, asked in rows
        if status == "violated"
    ]


def _unbound(solution: DualSolution, thresholds: Array, objectives: Sequence[str]) -> list[Finding]:
    """Thresholds (K-1,) that hold without cost."""
    names = [n for n, s in zip(objectives[1:], solution.status, strict=True) if s == "inactive"]
    if not names:
        return []
    if len(names) == thresholds.size:
        slack = float((solution.bounds - thresholds).min())
        return [
            Finding(
                "no threshold binds",
                slack,
                0.0,
                f"all hold without cost, so {objectives[0]} alone is maximised: raise them, or keep "
                "them as a safeguard",
                "info",
            )
        ]
    bounds = dict(zip(objectives[1:], zip(solution.bounds, thresholds, strict=True), strict=True))
    return [
        Finding(
            f"threshold does not bind: {name}",
            float(bounds[name][0]),
            float(bounds[name][1]),
            f"it holds without cost; raise plan.thresholds.{name} if more of it is wanted",
            "info",
        )
        for name in names
    ]


def _edges(
    thresholds: Array, attainable: Array, objectives: Sequence[str], bar: Limits
) -> list[Finding]:
    """Thresholds (K-1,) near the upper end of what is attainable, (K, 2)."""
    found = []
    for name, asked, (low, high) in zip(objectives[1:], thresholds, attainable[1:], strict=True):
        if high - low > 0 and high - asked < bar.min_room * (high - low):
            found.append(
                Finding(
                    f"threshold at the edge: {name}",
                    float(asked),
                    float(high - bar.min_room * (high - low)),
                    f"hardly any policy reaches it, and it costs the primary most: lower plan.thresholds.{name}",
                )
            )
    return found


def _agreeing(agreement: Array, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    """Constrained objectives that agree with the primary, by rank correlations (K, K)."""
    return [
        Finding(
            f"objectives agree: {objectives[0]} and {name}",
            float(agreement[0, k]),
            bar.max_agreement,
            "they rank responses alike, so this threshold has nothing to trade: choose an objective "
            "that conflicts",
            "info",
        )
        for k, name in enumerate(objectives)
        if k and agreement[0, k] >= bar.max_agreement
    ]


def _margins(solution: DualSolution, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    margins = solution.values[1:] - solution.bounds
    return [
        Finding(
            f"label noise is costly: {name}",
            float(margin),
            bar.max_margin,
            "the bound lies this far below the value it assures, which is usual below some thousand comparisons: the "
            "threshold is held all the same, at a higher price; add comparisons, raise plan.tau or lower plan.confidence",
        )
        for name, margin in zip(objectives[1:], margins, strict=True)
        if margin > bar.max_margin
    ]


def _debiased(solution: DualSolution, objectives: Sequence[str], bar: Limits) -> list[Finding]:
    return [
        Finding(
            f"few responses leave the planned value uncertain: {name}",
            float(value),
            float(plain + bar.max_debiasing),
            f"the rows alone say {plain:.3f}, and what lies beyond holds if more responses like them exist: add "
            "responses per prompt or raise plan.tau",
        )
        for name, value, plain in zip(objectives, solution.values, solution.row_values, strict=True)
        if value > plain + bar.max_debiasing
    ]


def _weights(solution: DualSolution, bar: Limits) -> list[Finding]:
    found = few_effective(solution.ess, bar, "warning")
    share = float(solution.ratio.max() / solution.ratio.sum())
    if share > bar.max_weight_share and solution.ratio.size * bar.max_weight_share > 1:
        found.append(
            Finding(
                "one row carries much of the weight",
                share,
                bar.max_weight_share,
                "training would repeat it: raise plan.tau or add responses",
            )
        )
    return found
