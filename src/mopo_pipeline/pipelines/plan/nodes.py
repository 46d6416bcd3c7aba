"""Nodes of the plan stage."""

from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
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


def foresee_certificate(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    training_plan: dict[str, Any],
    row_weights: pd.DataFrame,
    params: EvaluateParams,
) -> dict[str, Any]:
    """How wide the certificate will be with the test prompts at hand; an artifact of its own, so that training rests on none of it."""
    from mopo_pipeline.plan.power import certificate_power, tell
    from mopo_pipeline.plan.training_plan import TrainingPlan

    test = responses.loc[responses["split"] == "test", "prompt_id"].nunique()
    enumerated = responses["source"].iloc[0] == "pocket"
    power = certificate_power(
        win_rates, row_weights, TrainingPlan.from_json(training_plan),
        prompts=min(test, params.sampling.prompts or test),
        answers=None if enumerated else params.sampling.samples, confidence=params.confidence,
    )  # fmt: skip
    tell(power)
    return power
