"""From tables to arrays: comparisons as row indices, and the planned problem over the training rows."""

import numpy as np
import pandas as pd

from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.tables import comparison_weights


def row_comparisons(
    response_ids: pd.Series,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    objectives: tuple[str, ...],
) -> Comparisons | None:
    """The comparisons among some responses, as indices of their rows.

    Args:
        response_ids: (N,) responses in the order of their rows.
        comparisons: labelled pairs of all responses.
        predictions: a model's probabilities, row for row with ``comparisons``; NaN where there is none.
        objectives: K names.

    Returns:
        (M, K) labels of row pairs; None where no pair is among the responses.
    """
    names = list(objectives)
    index = pd.Series(np.arange(len(response_ids)), index=response_ids)
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


def dual_problem(
    rows: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    plan: TrainingPlan,
) -> DualProblem:
    """The planned problem over the training rows, in their order.

    Args:
        rows: prompt_id and response_id of the N training rows.
        win_rates: of all responses, a column in [0, 1] per objective.
        comparisons: labelled pairs of all responses.
        predictions: a model's probabilities, row for row with ``comparisons``.
        plan: as solved.
    """
    values = win_rates.set_index("response_id").loc[rows["response_id"], list(plan.objectives)]
    compared = None
    if plan.assured:
        compared = row_comparisons(rows["response_id"], comparisons, predictions, plan.objectives)
    return DualProblem(
        objectives=plan.objectives,
        win_rates=values.to_numpy(dtype=np.float64),
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
