"""The plan: resolve thresholds, solve the constrained problem, weigh the training rows.

Everything here happens before any training (``method.md`` sections 2, 4 and 7): which thresholds
are attainable, which bind, at what price, and the importance ratio of every training response.
"""

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError, MopoError
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
from mopo_pipeline.parameters.base import ObjectiveParams, Position, TaskParams, Threshold
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.tables import comparison_weights

Array = NDArray[np.float64]
log = logging.getLogger(__name__)


class UnreachableThresholdsError(MopoError, ValueError):
    """Thresholds no policy on this data can meet; names what is attainable and what would work."""


def make_plan(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Solve the constrained problem on the training split.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        comparisons: labelled pairs; those of the training split carry the robust bound.
        predictions: the preference model's probabilities, row for row with ``comparisons``.
        task: the objectives, first the primary, with their thresholds.
        params: temperature, confidence, normaliser, threshold overrides.

    Returns:
        The plan as a JSON-ready dictionary, and one row per training response with its
        ``ratio`` (mean 1 under the reference) and ``weight`` (mean 1 over the rows).

    Raises:
        UnreachableThresholdsError: alone or together, the thresholds are out of reach.
        InputError: the training split is empty or an override names no constrained objective.
    """
    names = list(task.names)
    rows = win_rates.loc[win_rates["split"] == "train"].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            "the training split holds no responses: raise ingest.split.train or add data"
        )
    values = rows[names].to_numpy(dtype=np.float64)
    groups = pd.factorize(rows["prompt_id"])[0]
    compared = _train_comparisons(rows, comparisons, predictions, names)
    given, unsure = _assurance(compared, params)
    given |= {"tau": params.tau, "groups": groups, "pooling": _pooling(params)}
    attainable = attainable_bounds(values, **given)
    thresholds = resolve_thresholds(task.objectives, params.thresholds, attainable)
    try:
        solution = solve_dual(values, thresholds, variant=params.variant, **given)
    except InfeasibleThresholdsError as error:
        raise _unreachable(error, names, thresholds, params) from error
    except NotConvergedError as error:
        raise _unsolved(error, names, thresholds) from error
    attainable[:, 1] = np.maximum(attainable[:, 1], np.append(solution.values[0], solution.bounds))
    plan = _describe(solution, names, thresholds, attainable, params, given, compared)
    findings = [*unsure, *diagnose_plan(
        solution, values, thresholds, attainable, objectives=names, groups=groups
    )]  # fmt: skip
    for finding in findings:
        log.log(logging.INFO if finding.severity == "info" else logging.WARNING, "%s", finding)
    plan["findings"] = [finding.as_dict() for finding in findings]
    ratio = np.asarray(solution.ratio)
    weights = rows[["prompt_id", "response_id"]].assign(ratio=ratio, weight=ratio / ratio.mean())
    return plan, weights


def _assurance(
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
                "no confidence: the labels that make the weights cannot also assure them", 0.5,
                params.confidence,
                "planned values are estimates without a bound; set preferences.win_rates.method to "
                "preference_model, whose win rates never saw the labels they are held against",
            )
        ]  # fmt: skip
    if params.epsilon is not None:
        return nothing | {"comparisons": compared, "epsilon": params.epsilon}, []
    return nothing | {"comparisons": compared, "confidence": params.confidence}, []


def resolve_thresholds(
    objectives: tuple[ObjectiveParams, ...],
    overrides: dict[str, Threshold],
    attainable: Array,
) -> Array:
    """Turn thresholds given as numbers or positions into win rates, shape (K-1,).

    ``attainable`` is (K, 2): a position p becomes low + p (high - low).
    """
    constrained = [o.name for o in objectives[1:]]
    if unknown := sorted(set(overrides) - set(constrained)):
        raise InputError(
            f"plan.thresholds names {unknown}, but the constrained objectives are {constrained}"
        )
    resolved = []
    for objective, (low, high) in zip(objectives[1:], attainable[1:], strict=True):
        threshold = overrides.get(objective.name, objective.threshold)
        if isinstance(threshold, Position):
            threshold = float(low + threshold.position * (high - low))
        resolved.append(threshold)
    return np.array(resolved, dtype=np.float64)


def _train_comparisons(
    rows: pd.DataFrame, comparisons: pd.DataFrame, predictions: pd.DataFrame, names: list[str]
) -> Comparisons | None:
    """Training comparisons as row indices into ``rows``; None when there is none."""
    index = pd.Series(np.arange(len(rows)), index=rows["response_id"])
    chosen = comparisons["response_a"].isin(index.index).to_numpy()
    if not chosen.any():
        return None
    pairs = comparisons.loc[chosen]
    predicted = predictions.loc[chosen, names].to_numpy(dtype=np.float64)
    return Comparisons(
        first=index.loc[pairs["response_a"]].to_numpy(),
        second=index.loc[pairs["response_b"]].to_numpy(),
        labels=pairs[names].to_numpy(dtype=np.float64),
        predicted=None if np.isnan(predicted).all() else predicted,
        weights=comparison_weights(pairs, names),
    )


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


def _pooling(params: PlanParams) -> float | None:
    """Pseudo-responses of the pooled normaliser: 0 per prompt, inf one pool, None chosen."""
    return {"per_prompt": 0.0, "pooled": float("inf"), "shrunk": params.kappa}[params.normalisation]


def _unreachable(
    error: InfeasibleThresholdsError, names: list[str], thresholds: Array, params: PlanParams
) -> UnreachableThresholdsError:
    sure = f" at {params.confidence:.0%} joint confidence" if params.epsilon is None else ""
    return UnreachableThresholdsError(
        f"thresholds out of reach{sure}: asked for {_listed(names, thresholds)}; attainable, each alone: "
        f"{_listed(names, error.attainable)}; {_remedy(names, error.relaxed)}"
    )


def _unsolved(
    error: NotConvergedError, names: list[str], thresholds: Array
) -> UnreachableThresholdsError:
    if error.relaxed is None:
        return UnreachableThresholdsError(str(error))
    return UnreachableThresholdsError(
        f"thresholds that these data are too few to plan for: asked for {_listed(names, thresholds)}; "
        f"{_remedy(names, error.relaxed)}, or add comparisons"
    )


def _listed(names: list[str], values: Array) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(names[1:], values, strict=True))


def _remedy(names: list[str], relaxed: Array) -> str:
    rounded = [_floor(value) for value in relaxed]
    nearest = ", ".join(f"{name} {value}" for name, value in zip(names[1:], rounded, strict=True))
    given = ",".join(
        f"plan.thresholds.{name}={value}" for name, value in zip(names[1:], rounded, strict=True)
    )
    return (
        f"the nearest that can all be met: {nearest}. Try --params {given} or lower plan.confidence"
    )


def _floor(value: float) -> str:
    """Three digits, rounded towards the attainable side."""
    return f"{np.floor(value * 1000) / 1000:.3f}"


def _describe(
    solution: DualSolution,
    names: list[str],
    thresholds: Array,
    attainable: Array,
    params: PlanParams,
    given: dict[str, Any],
    compared: Comparisons | None,
) -> dict[str, Any]:
    constrained = names[1:]

    def named(array: Array, keys: list[str] = constrained) -> dict[str, float | None]:
        return {
            key: float(value) if np.isfinite(value) else None
            for key, value in zip(keys, array, strict=True)
        }

    ratio = np.asarray(solution.ratio)
    return {
        "objectives": names,
        "tau": params.tau,
        "confidence": given["confidence"],
        "assurance": _assured(solution, constrained, given),
        "fixed_epsilon": None if given["confidence"] is not None else given["epsilon"],
        "epsilon": named(solution.epsilon),
        "comparisons": 0 if compared is None else len(np.asarray(compared.first)),
        "effective_comparisons": named(solution.effective_comparisons),
        "variant": params.variant,
        "normalisation": params.normalisation,
        "pooling": "inf" if np.isinf(solution.pooling) else solution.pooling,
        "thresholds": named(thresholds),
        "attainable": {
            n: [float(low), float(high)] for n, (low, high) in zip(names, attainable, strict=True)
        },
        "multipliers": named(solution.multipliers),
        "chi": named(solution.chi),
        "values": named(solution.values, names),
        "row_values": named(solution.row_values, names),
        "bounds": named(solution.bounds),
        "status": dict(zip(constrained, solution.status, strict=True)),
        "duality_gap": float(solution.duality_gap),
        "kl": float(solution.kl),
        "ess": float(solution.ess),
        "largest_weight": float(ratio.max() / ratio.sum()),
    }
