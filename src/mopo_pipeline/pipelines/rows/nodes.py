"""Nodes of the row export."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.rows import RowsParams
from mopo_pipeline.parameters.train import TrainParams

if TYPE_CHECKING:
    from mopo_pipeline.plan.training_plan import TrainingPlan


def write_rows(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    training_plan: "TrainingPlan",
    row_weights: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    task: TaskParams,
    train: TrainParams,
    params: RowsParams,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Weighted messages, drawn messages, drawn tokens, and the manifest of their plan."""
    from mopo_pipeline.policies.planned_rows import planned_rows

    made = planned_rows(
        responses,
        win_rates,
        comparisons,
        training_plan,
        row_weights,
        Path(reference_policy),
        reference_logprobs,
        task,
        train,
        params,
    )
    return made.loss_scale, made.messages, made.tokens, made.manifest
