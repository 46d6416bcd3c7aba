"""Nodes of the plan stage that join rooms."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.evaluate import EvaluateParams

if TYPE_CHECKING:
    from mopo_pipeline.plan.training_plan import TrainingPlan


def foresee_certificate(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    training_plan: "TrainingPlan",
    row_weights: pd.DataFrame,
    params: EvaluateParams,
) -> dict[str, Any]:
    """How wide the certificate will be with the test prompts at hand; an artifact of its own, so that training rests on none of it."""
    from mopo_pipeline.plan.power import certificate_power, tell

    test = responses.loc[responses["split"] == "test", "prompt_id"].nunique()
    enumerated = responses["source"].iloc[0] == "pocket"
    power = certificate_power(
        win_rates,
        row_weights,
        training_plan,
        prompts=min(test, params.sampling.prompts or test),
        answers=None if enumerated else params.sampling.samples,
        confidence=params.confidence,
    )
    tell(power)
    return power
