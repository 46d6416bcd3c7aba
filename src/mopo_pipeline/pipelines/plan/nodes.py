"""Nodes of the plan stage."""

from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams


def plan_training(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Solve for the multipliers that hold every threshold; stop here if none exist."""
    from mopo_pipeline.plan.make import make_plan

    plan, weights = make_plan(win_rates, comparisons, predictions, task, params)
    return plan.to_json(), weights
