"""Nodes of the ablations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.ablation import AblationParams
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.parameters.train import TrainParams

if TYPE_CHECKING:
    from mopo_pipeline.plan.training_plan import TrainingPlan


def train_variants(
    training_plan: "TrainingPlan",
    reference_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    preference_report: dict[str, Any],
    task: TaskParams,
    preferences: PreferencesParams,
    train: TrainParams,
    evaluate: EvaluateParams,
    front: FrontParams,
    params: AblationParams,
) -> dict[str, Any]:
    """The task's policy once per variant, each in a run of its own under ``ablation/``, at the thresholds of its plan.

    All inputs but the last two are what the variants' own runs rest on and share through the data root.
    """
    from mopo_pipeline.fronts.executors.choose import chosen_executor
    from mopo_pipeline.fronts.jobs import check_trains
    from mopo_pipeline.fronts.sweep import run_jobs
    from mopo_pipeline.fronts.variants import jobs_of_variants

    assert front.run is not None
    check_trains(train)
    jobs = jobs_of_variants(params, front.data_root / "ablation", training_plan.thresholds)
    outcomes = run_jobs(jobs, front.run, front.data_root, chosen_executor(front))
    return {name: outcome.as_dict() for name, outcome in outcomes.items()}


def value_variants(
    ablation_runs: dict[str, Any],
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    reference_policy: Path,
    evaluation_preference_model: Path,
    task: TaskParams,
    evaluate: EvaluateParams,
    params: AblationParams,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every variant by the same evaluation, the reference beside them."""
    from mopo_pipeline.fronts.collect import reference_candidate
    from mopo_pipeline.fronts.tables import front_tables
    from mopo_pipeline.fronts.values import ground
    from mopo_pipeline.fronts.variants import variant_candidates

    on = ground(
        responses, comparisons, reference_policy, evaluation_preference_model, task, evaluate, 0
    )
    asked = on.asked["prompt"].tolist()
    candidates = [
        *variant_candidates(params, ablation_runs, task.seed, evaluate.batch_tokens, asked),
        reference_candidate(reference_policy, task.seed, evaluate),
    ]
    points, values, _ = front_tables(candidates, on)
    return points, values
