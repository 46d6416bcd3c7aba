"""Nodes of the train stage."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.train import TrainParams


def train_policy(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    training_plan: dict[str, Any],
    row_weights: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    preference_model: Path,
    task: TaskParams,
    params: TrainParams,
) -> tuple[Path, pd.DataFrame, list[dict[str, Any]]]:
    """Weighted policy extraction; the reference follows the policy where a lag is set."""
    from mopo_pipeline.plan.training_plan import TrainingPlan
    from mopo_pipeline.policies.extract import extract_policy

    return extract_policy(
        responses, win_rates, comparisons, predictions, TrainingPlan.from_json(training_plan), row_weights,
        reference_policy, reference_logprobs, preference_model, task, params,
    )  # fmt: skip
