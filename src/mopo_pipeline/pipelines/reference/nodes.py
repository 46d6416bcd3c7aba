"""Nodes of the reference stage."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams


def train_reference(
    responses: pd.DataFrame,
    plan_table: dict[str, Any],
    task: TaskParams,
    params: ReferenceParams,
    policy: TrainParams,
    evaluation: EvaluateParams,
) -> tuple[Path, pd.DataFrame]:
    """Train or load the reference policy.

    ``plan_table`` only orders: nothing trains before the thresholds are known to be attainable, and at what price.
    ``policy`` and ``evaluation`` are only checked: nothing trains that the policy's training or its evaluation would
    stop after.
    """
    from mopo_pipeline.evaluation.judging import try_judges
    from mopo_pipeline.policies.reference import make_reference

    try_judges(responses, task.names, evaluation.judges)
    longest = evaluation.sampling.max_new_tokens
    return make_reference(responses, task.seed, params, policy, task.names, longest)


def score_reference(
    responses: pd.DataFrame, reference_policy: Path, params: ReferenceParams
) -> pd.DataFrame:
    """Log pi_ref(y|x) of every response."""
    from mopo_pipeline.policies.reference_logprobs import reference_logprobs

    return reference_logprobs(responses, reference_policy, params.context, params.work_dir)
