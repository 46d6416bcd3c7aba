"""Nodes of the steerable policy."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams


def train_steerable(
    front_plan: dict[str, Any],
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    preference_model: Path,
    task: TaskParams,
    plan: PlanParams,
    train: TrainParams,
    params: SteerableParams,
) -> Path:
    """A policy that is told its multipliers, trained on a lattice that spans those of the front's plans."""
    from mopo_pipeline.steerable.train import Given, steerable_policy

    given = Given.of(
        front_plan,
        (responses, win_rates, reference_logprobs),
        (reference_policy, preference_model),
        (task, plan, train),
    )
    return steerable_policy(given, params).folder


def answer_thresholds(
    steerable_policy: Path,
    responses: pd.DataFrame,
    task: TaskParams,
    evaluate: EvaluateParams,
    params: SteerableParams,
) -> pd.DataFrame:
    """Answers to a few test prompts at the thresholds asked for, beside what was said behind them and what it is worth."""
    from mopo_pipeline.steerable.answers import steered_answers

    return steered_answers(Path(steerable_policy), responses, task, evaluate, params.thresholds)
