"""From tables to arrays: comparisons as row indices, and the planned problem over the training rows."""

import numpy as np
import pandas as pd

from mopo_pipeline.alike import positions
from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.parameters.base import WITHOUT_FOLD
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.tables import comparison_weights, weight_columns


def row_comparisons(
    rows: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    objectives: tuple[str, ...],
) -> Comparisons | None:
    """The comparisons among some responses, as indices of their rows; a prompt's labels weigh 1 together, however many it has.

    Args:
        rows: prompts and win rates of N responses, in the order of their rows; with columns of each fold where
            labels of comparisons went into them, and with the ``unit`` that each prompt was drawn in.
        comparisons: labelled pairs of all responses.
        predictions: a model's probabilities, row for row with ``comparisons``; NaN where there is
            none. With the ``fold`` of each comparison, -1 where its label went into nothing.
        objectives: K names.

    Returns:
        (M, K) labels of row pairs; None where no pair is among the responses.
    """
    names = list(objectives)
    first = positions(comparisons["response_a"], rows["response_id"])
    chosen = first >= 0
    if not chosen.any():
        return None
    second = positions(comparisons["response_b"], rows["response_id"])
    predicted = predictions.loc[chosen, names].to_numpy(dtype=np.float64)
    without = _fold_win_rates(rows, names)
    labels = comparisons.loc[chosen, names].to_numpy(dtype=np.float64)
    weights = comparison_weights(comparisons.filter(weight_columns(names)).loc[chosen], names)
    prompts = pd.factorize(rows["prompt_id"])[0][first[chosen]]
    return Comparisons(
        first=first[chosen],
        second=second[chosen],
        labels=labels,
        predicted=None if np.isnan(predicted).all() else predicted,
        weights=even_weights(np.where(np.isnan(labels), 0.0, weights), prompts),
        folds=None if without is None else predictions.loc[chosen, "fold"].to_numpy(),
        fold_win_rates=without,
        annotators=annotators_of(comparisons.filter(["annotator"]).loc[chosen]),
        clusters=pd.factorize(rows["unit"])[0] if "unit" in rows else None,
    )


def annotators_of(pairs: pd.DataFrame) -> Index | None:
    """Numbers (M,) of the annotators by name, -1 where none is given; None where none is given at all."""
    if "annotator" not in pairs or not pairs["annotator"].any():
        return None
    named = pairs["annotator"].where(pairs["annotator"] != "")
    return pd.factorize(named)[0].astype(np.int64)


def even_weights(weights: Array, prompts: Index) -> Array:
    """Weights (M, K) of comparisons of prompts (M,), scaled to sum 1 in each prompt that has any.

    >>> even_weights(np.array([[1.0], [3.0], [2.0], [0.0]]), np.array([0, 0, 1, 2])).ravel().tolist()
    [0.25, 0.75, 1.0, 0.0]
    """
    total = np.zeros((int(prompts.max(initial=-1)) + 1, weights.shape[1]))
    np.add.at(total, prompts, weights)
    return np.asarray(weights / np.where(total > 0.0, total, 1.0)[prompts])


def _fold_win_rates(rows: pd.DataFrame, names: list[str]) -> Array | None:
    """(J, N, K) from the labels outside each fold; None where no label of the rows went into them.

    An objective without such columns has the same win rates in every fold.
    """
    folds = 0
    while any(f"{name}{WITHOUT_FOLD}{folds}" in rows for name in names):
        folds += 1
    if folds == 0:
        return None
    columns = [
        [
            f"{name}{WITHOUT_FOLD}{j}" if f"{name}{WITHOUT_FOLD}{j}" in rows else name
            for name in names
        ]
        for j in range(folds)
    ]
    return np.stack([rows[found].to_numpy(dtype=np.float64) for found in columns])


def dual_problem(
    rows: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    plan: TrainingPlan,
) -> DualProblem:
    """The planned problem over the training rows, in their order.

    Labels correct its values where they corrected the plan's: wherever a model predicted them, at any confidence or radius.

    Args:
        rows: prompt_id and response_id of the N training rows.
        win_rates: of all responses, a column in [0, 1] per objective.
        comparisons: labelled pairs of all responses.
        predictions: a model's probabilities, row for row with ``comparisons``.
        plan: as solved.
    """
    values = win_rates.set_index("response_id").loc[rows["response_id"]].reset_index()
    compared = row_comparisons(values, comparisons, predictions, plan.objectives)
    if compared is not None and compared.predicted is None:
        compared = None
    return DualProblem(
        objectives=plan.objectives,
        win_rates=values[list(plan.objectives)].to_numpy(dtype=np.float64),
        groups=pd.factorize(rows["prompt_id"])[0].astype(np.int64),
        thresholds=plan.of_constrained(plan.targets),
        tau=plan.tau,
        epsilon=plan.fixed_epsilon or 0.0,
        pooling=plan.pooling,
        variant=plan.variant,
        confidence=plan.confidence,
        comparisons=compared,
        multipliers=plan.of_constrained(plan.multipliers),
        bounds=plan.of_constrained(plan.bounds),
        values=plan.of_constrained(plan.values),
    )
