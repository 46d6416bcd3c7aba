"""The plan: resolve thresholds, solve the constrained problem, weigh the training rows.

Everything here happens before any training (``method.md`` sections 2, 4 and 7): which thresholds
are attainable, which bind, at what price, and the importance ratio of every training response.
"""

import logging
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import DualSolution, Finding, NotConvergedError, diagnose_plan
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.posed import PosedProblem, pose
from mopo_pipeline.plan.thresholds import (
    UnreachableThresholdsError,
    as_good_as_the_data,
    giving_way,
    margins_above,
    proposal,
    resolve_thresholds,
)
from mopo_pipeline.plan.training_plan import TrainingPlan

log = logging.getLogger(__name__)


def make_plan(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> tuple[TrainingPlan, pd.DataFrame]:
    """Solve the constrained problem on the training split.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        comparisons: labelled pairs; those of the training split carry the robust bound.
        predictions: the preference model's probabilities, row for row with ``comparisons``.
        task: the objectives, first the primary, with their thresholds.
        params: temperature, confidence, normaliser, threshold overrides.

    Returns:
        The plan, and one row per training response with its
        ``ratio`` (mean 1 under the reference) and ``weight`` (mean 1 over the rows).

    Raises:
        UnreachableThresholdsError: alone or together, the thresholds are out of reach.
        InputError: the training split is empty or an override names no constrained objective.
    """
    posed = pose(win_rates, comparisons, predictions, task, params)
    names, attainable = list(posed.names), posed.attainable.copy()
    thresholds = resolve_thresholds(task.objectives, params.thresholds, attainable)
    thresholds, solution = solve_or_propose(posed, thresholds)
    targets = posed.targets(thresholds)
    planned = np.append(solution.values[0], solution.bounds)
    attainable[:, 0] = np.minimum(attainable[:, 0], planned)
    attainable[:, 1] = np.maximum(attainable[:, 1], planned)
    groups = posed.given["groups"]
    findings = [
        *posed.unsure,
        *diagnose_plan(
            solution, posed.values, targets, attainable, objectives=names, groups=groups
        ),
    ]
    for finding in findings:
        log.log(logging.INFO if finding.severity == "info" else logging.WARNING, "%s", finding)
    plan = _describe(solution, thresholds, attainable, posed, findings)
    ratio = np.asarray(solution.ratio)
    weights = posed.rows[["prompt_id", "response_id", "unit"]].assign(
        ratio=ratio, weight=ratio / ratio.mean()
    )
    return plan, weights


def proposed(posed: PosedProblem, thresholds: Array) -> Array:
    """Thresholds (K-1,) with the plan's own proposals where none is given (NaN), whether or not all of them can be met."""
    if not np.isnan(thresholds).any():
        return thresholds
    try:
        return solve_or_propose(posed, thresholds)[0]
    except (UnreachableThresholdsError, NotConvergedError):
        return as_good_as_the_data(thresholds, posed.attainable)


def solve_or_propose(posed: PosedProblem, thresholds: Array) -> tuple[Array, DualSolution]:
    """Thresholds (K-1,), those left out (NaN) proposed, and the solution.

    Raises:
        UnreachableThresholdsError: those given are out of reach.
    """
    margins = margins_above(list(posed.names), posed.params.margins)
    asked = as_good_as_the_data(thresholds, posed.attainable)
    open_ones = np.isnan(thresholds)
    for last in (False, False, True):
        try:
            solution = posed.solve(asked)
            break
        except UnreachableThresholdsError as error:
            if last or error.relaxed is None or not open_ones.any():
                raise
            asked = giving_way(asked, error.relaxed - margins, open_ones)
    for name, threshold in zip(
        np.array(posed.names[1:])[open_ones], asked[open_ones].tolist(), strict=True
    ):
        log.warning("%s", proposal(name, threshold))
    return asked, solution


def _assured(solution: DualSolution, constrained: list[str], given: dict[str, Any]) -> str:
    """One phrase that says how sure the thresholds of a plan are."""
    if given["comparisons"] is None:
        return "no confidence: planned values are estimates"
    each = zip(
        constrained, solution.effective_comparisons, solution.effective_if_alike, strict=True
    )
    counts = ", ".join(
        f"{name} {count:.0f}"
        + (f" ({alike:.0f} if annotators were alike)" if round(alike) > round(count) else "")
        for name, count, alike in each
    )
    sure = (
        f"fixed radius {given['epsilon']:.2e}"
        if given["confidence"] is None
        else f"joint confidence {given['confidence']:.0%}"
    )
    return f"{sure}; effective comparisons: {counts}" if counts else sure


def _describe(
    solution: DualSolution,
    thresholds: Array,
    attainable: Array,
    posed: PosedProblem,
    findings: list[Finding],
) -> TrainingPlan:
    """The plan by names; thresholds (K-1,), attainable low and high (K, 2)."""
    names, params, given = list(posed.names), posed.params, posed.given
    constrained = names[1:]

    def named(array: Array, keys: list[str] = constrained) -> dict[str, float | None]:
        return {
            key: float(value) if np.isfinite(value) else None
            for key, value in zip(keys, array, strict=True)
        }

    ratio = np.asarray(solution.ratio)
    return TrainingPlan(
        objectives=tuple(names),
        tau=params.tau,
        confidence=given["confidence"],
        assurance=_assured(solution, constrained, given),
        fixed_epsilon=None if given["confidence"] is not None else given["epsilon"],
        epsilon=named(solution.epsilon),
        comparisons=posed.comparisons,
        effective_comparisons=named(solution.effective_comparisons),
        variant=params.variant,
        normalisation=params.normalisation,
        pooling=solution.pooling,
        thresholds=named(thresholds),
        targets=named(posed.targets(thresholds)),
        attainable={
            n: (float(low), float(high)) for n, (low, high) in zip(names, attainable, strict=True)
        },
        multipliers=named(solution.multipliers),
        chi=named(solution.chi),
        values=named(solution.values, names),
        row_values=named(solution.row_values, names),
        bounds=named(solution.bounds),
        status=dict(zip(constrained, solution.status, strict=True)),
        duality_gap=float(solution.duality_gap),
        kl=float(solution.kl),
        ess=float(solution.ess),
        largest_weight=float(ratio.max() / ratio.sum()),
        findings=tuple(findings),
    )
