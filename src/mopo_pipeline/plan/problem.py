"""From tables to arrays: the planned problem over the training rows."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.tables import comparison_weights


def dual_problem(
    rows: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    plan: dict[str, Any],
) -> DualProblem:
    """The planned problem over the training rows, in their order."""
    names = plan["objectives"]
    constrained = names[1:]
    index = pd.Series(np.arange(len(rows)), index=rows["response_id"])
    values = (
        win_rates.set_index("response_id")
        .loc[rows["response_id"], names]
        .to_numpy(dtype=np.float64)
    )
    chosen = comparisons["response_a"].isin(index.index).to_numpy()
    compared = None
    if chosen.any():
        pairs = comparisons.loc[chosen]
        predicted = predictions.loc[chosen, names].to_numpy(dtype=np.float64)
        compared = Comparisons(
            first=index.loc[pairs["response_a"]].to_numpy(),
            second=index.loc[pairs["response_b"]].to_numpy(),
            labels=pairs[names].to_numpy(dtype=np.float64),
            predicted=None if np.isnan(predicted).all() else predicted,
            weights=comparison_weights(pairs, names),
        )

    assured = plan["confidence"] is not None or plan["fixed_epsilon"] > 0

    def array(key: str) -> np.ndarray:
        return np.array([plan[key][name] for name in constrained], dtype=np.float64)

    return DualProblem(
        objectives=tuple(names),
        win_rates=values,
        groups=pd.factorize(rows["prompt_id"])[0].astype(np.int64),
        thresholds=array("thresholds"),
        tau=plan["tau"],
        epsilon=plan["fixed_epsilon"] or 0.0,
        pooling=float(plan["pooling"]),
        variant=plan["variant"],
        confidence=plan["confidence"],
        comparisons=compared if assured else None,
        multipliers=array("multipliers"),
        bounds=array("bounds"),
        values=array("values"),
    )


def train_comparisons(
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
