"""Nodes of the reference stage."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.train import ReferenceParams, TrainParams


def train_reference(
    responses: pd.DataFrame,
    training_plan: dict[str, Any],
    task: TaskParams,
    params: ReferenceParams,
    policy: TrainParams,
) -> tuple[Path, pd.DataFrame]:
    """Train or load the reference policy.

    ``training_plan`` only orders: nothing trains before the thresholds are known to be attainable.
    ``policy`` is only checked: nothing trains that the policy's training would stop after.
    """
    from mopo_pipeline.language.reference import make_reference

    return make_reference(responses, task.seed, params, policy, task.names)


def score_reference(
    responses: pd.DataFrame, reference_policy: Path, params: ReferenceParams
) -> pd.DataFrame:
    """Log pi_ref(y|x) of every response."""
    from mopo_pipeline.language.reference import reference_logprobs

    return reference_logprobs(responses, reference_policy, params.fit.max_length, params.work_dir)
