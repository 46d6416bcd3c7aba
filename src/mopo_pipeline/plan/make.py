"""The plan: resolve thresholds, solve the constrained problem, weigh the training rows.

Everything here happens before any training (``method.md`` sections 2, 4 and 7): which thresholds
are attainable, which bind, at what price, and the importance ratio of every training response.
"""

import logging
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    DualSolution,
    Finding,
    InfeasibleThresholdsError,
    NotConvergedError,
    attainable_bounds,
    diagnose_plan,
    solve_dual,
)
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.problem import row_comparisons
from mopo_pipeline.plan.thresholds import (
    as_good_as_the_data,
    giving_way,
    margins_above,
    proposal,
    resolve_thresholds,
    unreachable,
    unsolved,
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
    names = list(task.names)
    rows, values, given, unsure = posed(win_rates, comparisons, predictions, task.names, params)
    attainable = attainable_bounds(values, **given)
    thresholds = resolve_thresholds(task.objectives, params.thresholds, attainable)
    thresholds, solution = _solved(values, thresholds, attainable, names, params, given)
    targets = thresholds + margins_above(names, params.margins)
    attainable[:, 1] = np.maximum(attainable[:, 1], np.append(solution.values[0], solution.bounds))
    findings = [
        *unsure,
        *diagnose_plan(
            solution, values, targets, attainable, objectives=names, groups=given["groups"]
        ),
    ]
    for finding in findings:
        log.log(logging.INFO if finding.severity == "info" else logging.WARNING, "%s", finding)
    compared = row_comparisons(rows, comparisons, predictions, task.names)
    count = 0 if compared is None else len(np.asarray(compared.first))
    plan = _describe(solution, names, thresholds, attainable, params, given, count, findings)
    ratio = np.asarray(solution.ratio)
    weights = rows[["prompt_id", "response_id"]].assign(ratio=ratio, weight=ratio / ratio.mean())
    return plan, weights


def posed(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    names: tuple[str, ...],
    params: PlanParams,
) -> tuple[pd.DataFrame, Array, dict[str, Any], list[Finding]]:
    """The problem as the method takes it: N training rows, win rates (N, K), further arguments, what cannot be assured.

    Raises:
        InputError: the training split is empty.
    """
    rows = win_rates.loc[win_rates["split"] == "train"].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            "the training split holds no responses: raise ingest.split.train or add data"
        )
    compared = row_comparisons(rows, comparisons, predictions, names)
    given, unsure = assurance(compared, params)
    groups = pd.factorize(rows["prompt_id"])[0]
    given |= {"tau": params.tau, "groups": groups, "pooling": pooling_of(params)}
    return rows, rows[list(names)].to_numpy(dtype=np.float64), given, unsure


def _solved(
    values: Array,
    thresholds: Array,
    attainable: Array,
    names: list[str],
    params: PlanParams,
    given: dict[str, Any],
) -> tuple[Array, DualSolution]:
    """Thresholds (K-1,), those left out (NaN) proposed, and the solution for win rates (N, K), attainable (K, 2).

    Raises:
        UnreachableThresholdsError: those given are out of reach.
    """
    margins = margins_above(names, params.margins)
    asked = as_good_as_the_data(thresholds, attainable)
    open_ones = np.isnan(thresholds)
    for last in (False, False, True):
        try:
            solution = solve_dual(values, asked + margins, variant=params.variant, **given)
            break
        except (InfeasibleThresholdsError, NotConvergedError) as error:
            relaxed = error.relaxed
            if last or relaxed is None or not open_ones.any():
                told = unreachable if isinstance(error, InfeasibleThresholdsError) else unsolved
                raise told(error, names, asked + margins, params) from error  # type: ignore[arg-type]
            asked = giving_way(asked, relaxed - margins, open_ones)
    for name, threshold in zip(
        np.array(names[1:])[open_ones], asked[open_ones].tolist(), strict=True
    ):
        log.warning("%s", proposal(name, threshold))
    return asked, solution


def assurance(
    compared: Comparisons | None, params: PlanParams
) -> tuple[dict[str, Any], list[Finding]]:
    """Comparisons, radius and confidence for ``solve_dual``, and what cannot be assured."""
    nothing: dict[str, Any] = {"comparisons": None, "epsilon": 0.0, "confidence": None}
    if compared is None:
        return nothing, []
    if compared.predicted is None:
        if params.epsilon is None and params.confidence == 0.5:
            return nothing, []
        return nothing, [
            Finding(
                "no confidence: the labels that make the weights cannot also assure them",
                0.5,
                params.confidence,
                "planned values are estimates without a bound; set preferences.win_rates.method to "
                "posterior or preference_model, whose win rates never saw the labels they are held against",
            )
        ]
    if params.epsilon is not None:
        return nothing | {"comparisons": compared, "epsilon": params.epsilon}, []
    return nothing | {"comparisons": compared, "confidence": params.confidence}, []


def _assured(solution: DualSolution, constrained: list[str], given: dict[str, Any]) -> str:
    """One phrase that says how sure the thresholds of a plan are."""
    if given["comparisons"] is None:
        return "no confidence: planned values are estimates"
    counts = ", ".join(
        f"{name} {count:.0f}"
        for name, count in zip(constrained, solution.effective_comparisons, strict=True)
    )
    sure = (
        f"fixed radius {given['epsilon']:.2e}"
        if given["confidence"] is None
        else f"joint confidence {given['confidence']:.0%}"
    )
    return f"{sure}; effective comparisons: {counts}" if counts else sure


def pooling_of(params: PlanParams) -> float | None:
    """Pseudo-responses of the pooled normaliser: 0 per prompt, inf one pool, None chosen."""
    return {"per_prompt": 0.0, "pooled": float("inf"), "shrunk": params.kappa}[params.normalisation]


def _describe(
    solution: DualSolution,
    names: list[str],
    thresholds: Array,
    attainable: Array,
    params: PlanParams,
    given: dict[str, Any],
    comparisons: int,
    findings: list[Finding],
) -> TrainingPlan:
    """The plan by names; thresholds (K-1,), attainable low and high (K, 2)."""
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
        comparisons=comparisons,
        effective_comparisons=named(solution.effective_comparisons),
        variant=params.variant,
        normalisation=params.normalisation,
        pooling=solution.pooling,
        thresholds=named(thresholds),
        targets=named(thresholds + margins_above(names, params.margins)),
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
