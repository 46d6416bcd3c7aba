"""What a plan rests on beside its thresholds, prepared once for one plan or many."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    DualSolution,
    Finding,
    InfeasibleThresholdsError,
    NotConvergedError,
    attainable_bounds,
    bounds_at_any_distance,
    each_level,
    fewest_units,
    solve_dual,
)
from mopo_pipeline.mopo.rows import alike
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.problem import row_comparisons
from mopo_pipeline.plan.thresholds import margins_above, unreachable, unsolved

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PosedProblem:
    """The constrained problem on the training split, thresholds left open.

    Attributes:
        names: K objectives, the primary first.
        rows: the N training responses with their win rates.
        values: (N, K) win rates.
        given: tau, reference, groups, pooling, comparisons, radius and confidence, as ``solve_dual`` takes them.
        attainable: (K, 2) low and high of each objective alone.
        comparisons: labelled pairs of the training split.
        unsure: what cannot be assured.
        params: of the plan.
    """

    names: tuple[str, ...]
    rows: pd.DataFrame
    values: Array
    given: dict[str, Any]
    attainable: Array
    comparisons: int
    unsure: tuple[Finding, ...]
    params: PlanParams

    def targets(self, thresholds: Array) -> Array:
        """Thresholds (K-1,) with their margins, (K-1,)."""
        return thresholds + margins_above(list(self.names), self.params.margins)

    def solve(self, thresholds: Array, start: Array | None = None) -> DualSolution:
        """The smallest multipliers that hold thresholds (K-1,) and their margins, sought from ``start`` (K-1,).

        Raises:
            UnreachableThresholdsError: alone or together, the thresholds are out of reach.
        """
        targets, names = self.targets(thresholds), list(self.names)
        try:
            return solve_dual(
                self.values, targets, variant=self.params.variant, start=start, **self.given
            )
        except InfeasibleThresholdsError as error:
            promised = bounds_at_any_distance(self.values, **self.given)
            raise unreachable(error, names, targets, self.params, self.given, promised) from error
        except NotConvergedError as error:
            alone = self.attainable[1:, 1]
            raise unsolved(error, names, targets, self.params, self.given, alone) from error


def pose(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> PosedProblem:
    """Prepare the training split for one plan or many; prompts weigh alike, as in a certificate.

    Args:
        win_rates: one row per response, a column in [0, 1] per objective.
        comparisons: labelled pairs; those of the training split carry the robust bound.
        predictions: the preference model's probabilities, row for row with ``comparisons``.
        task: the objectives, first the primary.
        params: temperature, confidence, normaliser.

    Raises:
        InputError: the training split is empty; labels of too few prompts to be sure of anything.
    """
    rows = win_rates.loc[win_rates["split"] == "train"].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            "the training split holds no responses: raise ingest.split.train or add data"
        )
    values = rows[list(task.names)].to_numpy(dtype=np.float64)
    compared = row_comparisons(rows, comparisons, predictions, task.names)
    groups = pd.factorize(rows["prompt_id"])[0]
    given, unsure = assurance(compared, params)
    if compared is not None and given["confidence"] is not None:
        refuse_few_labels(compared, groups, list(task.names), params.confidence)
    given |= {
        "tau": params.tau,
        "reference": alike(groups),
        "groups": groups,
        "pooling": pooling_of(params),
    }
    count = 0 if compared is None else len(np.asarray(compared.first))
    attainable = attainable_bounds(values, **given)
    return PosedProblem(task.names, rows, values, given, attainable, count, tuple(unsure), params)


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


def refuse_few_labels(
    compared: Comparisons, groups: Index, names: list[str], confidence: float
) -> None:
    """Refuse a confidence that the labels of a constrained objective cannot give, however they came out.

    Args:
        compared: labels (M, K) of pairs of rows, weights (M, K).
        groups: (N,) prompt of each row; of a single one, or a single cluster, comparisons are what was drawn.
        names: K objectives, the primary first.
        confidence: joint, in [0.5, 1).

    Raises:
        InputError: names the objective, how many prompts it is labelled on and how many it takes.
    """
    units = groups if compared.clusters is None else np.asarray(compared.clusters)
    single = len(np.unique(units)) == 1
    labels, weights = np.asarray(compared.labels), np.asarray(compared.weights)
    drawn = np.arange(len(labels)) if single else units[np.asarray(compared.first)]
    fewest = fewest_units(each_level(confidence, len(names) - 1))
    for k, name in enumerate(names[1:], start=1):
        count = len(np.unique(drawn[~np.isnan(labels[:, k]) & (weights[:, k] > 0)]))
        if count < fewest:
            what = "comparisons" if single else "training prompts, or groups of them,"
            raise InputError(
                f"objective {name!r} is labelled on {count} {what} and {confidence:.0%} joint confidence takes {fewest} at "
                f"least: so few labels may all agree by luck. Label more, take estimates at their word with "
                f"plan.confidence=0.5, or drop {name!r} from task.objectives"
            )


def pooling_of(params: PlanParams) -> float | None:
    """Pseudo-responses of the pooled normaliser: 0 per prompt, inf one pool, None chosen."""
    return {"per_prompt": 0.0, "pooled": float("inf"), "shrunk": params.kappa}[params.normalisation]
