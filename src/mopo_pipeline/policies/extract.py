"""From the plan to the policy: rows, weights and thresholds handed to the trainer, the result exported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.language.lengths import ENDED, cut_finding, tell
from mopo_pipeline.language.loading import ELSEWHERE, model_digest
from mopo_pipeline.launching.run import TrainingRun, train
from mopo_pipeline.mopo import Finding
from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.fit import FixedFit
from mopo_pipeline.parameters.lag import FreshLag, LagParams, NoLag
from mopo_pipeline.parameters.train import LoopParams, TrainParams
from mopo_pipeline.pareto.bounds import alpha_of_look
from mopo_pipeline.plan.problem import dual_problem
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.policies.elsewhere import taken_as_it_is
from mopo_pipeline.policies.export import export_policy, fingerprint
from mopo_pipeline.policies.reference_logprobs import CUT_BY_CONTEXT, check_logprobs
from mopo_pipeline.policies.training_rows import (
    judged_comparisons,
    steering,
    training_rows,
    validation_rows,
)
from mopo_pipeline.sampling_units import units_of_test_split
from mopo_pipeline.training.fresh_judge import judged_win_rates, told_of_judge, try_judge

CUT_WHEN_DRAWN = "they end nowhere: raise ingest.sampled.max_new_tokens, or drop them"

MAX_REPEATS = 8.0
"""Draws of a row between two refreshes. A guess between what was measured: 2.5 was harmless on the pocket task, 22 was not."""


NO_STEPS = pd.DataFrame({"step": pd.Series(dtype=int)})
"""The log of a policy that was not trained here."""

FOR_TRAINING = ["unit", "prompt", "response", ENDED, "weight"]
"""What training is told of a row, beside its log-probability."""


def extract_policy(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    plan: TrainingPlan,
    row_weights: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    preference_model: Path,
    task: TaskParams,
    params: TrainParams,
    evaluate: EvaluateParams,
) -> tuple[Path, pd.DataFrame, list[dict[str, Any]]]:
    """Train the policy the plan describes, or take one trained elsewhere; of the evaluation it reads level and prompts.

    Returns:
        A standard model or adapter directory, the training log, and what the run's diagnosis found.

    Raises:
        InputError: log-probabilities of another reference, text or context; a judge that cannot judge; no such policy.
        TrainingStoppedError: training could not usefully go on; checkpoints are kept.
    """
    rows = training_rows(responses, row_weights, reference_logprobs)
    context = check_logprobs(reference_logprobs, steering(responses), reference_policy)
    facts = _provenance(task, params, plan, (rows, win_rates, comparisons), reference_policy)
    if params.policy is not None:
        given = taken_as_it_is(params, reference_policy, responses, reference_logprobs)
        return export_policy(given, params.work_dir, facts | {ELSEWHERE: True}), NO_STEPS, []
    problem = dual_problem(rows, win_rates, comparisons, predictions, plan)
    problem = to_be_certified(problem, responses, params.loop, evaluate)
    told = _told_early(params, fit := params.fit.over(len(rows)), rows)
    if isinstance(params.lag, FreshLag):
        said = judged_comparisons(rows, comparisons, predictions, plan.objectives)
        judge = try_judge(params.lag, plan.objectives, preference_model, rows)
        judged = judged_win_rates(judge, params.lag, rows, win_rates)
        problem = replace(problem, comparisons=said, judged=judged)
        told += told_of_judge(judge, params.lag, rows)
    validation, labels = validation_rows(
        responses, comparisons, predictions, reference_logprobs, plan.objectives, params, task.seed
    )
    run = TrainingRun(
        name="policy",
        model=reference_policy,
        rows=rows[FOR_TRAINING].assign(reference_logprob=rows["logprob"]),
        fit=fit,
        seed=task.seed,
        lag=params.lag,
        lora=params.lora,
        problem=problem,
        scorer=scorer_of(params.lag, preference_model),
        validation=validation,
        context=context,
        loop=params.loop,
        labels=labels,
        start=params.start,
    )
    result = train(run, params.work_dir)
    policy = export_policy(result.directory, params.work_dir, facts)
    return policy, result.log.assign(truncated_rows=result.truncated), [*told, *result.findings]


def scorer_of(lag: LagParams, preference_model: Path) -> Path | None:
    """The preference model where it judges fresh responses."""
    judges = isinstance(lag, FreshLag) and lag.judge == "preference_model"
    return preference_model if judges else None


def _told_early(params: TrainParams, fit: FixedFit, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What is known of the training rows before the first step, told; JSON-ready."""
    early = repetition(params.lag, fit, len(rows), rows["prompt"].nunique())
    early += cut_rows(rows["truncated"].to_numpy(dtype=bool), rows[ENDED].to_numpy(dtype=bool))
    tell(early)
    return [finding.as_dict() for finding in early]


def _provenance(
    task: TaskParams,
    params: TrainParams,
    plan: TrainingPlan,
    data: tuple[pd.DataFrame, ...],
    reference: Path,
) -> dict[str, Any]:
    """What the exported policy says it was made of."""
    where = {"work_dir", "start", "policy"}
    given = [p.model_dump(mode="json", exclude=where) for p in (task, params)]
    return {
        "plan": plan.to_json(),
        "data_fingerprint": fingerprint(*data),
        "config_fingerprint": fingerprint(*given, plan.to_json()),
        "base_fingerprint": model_digest(reference),
    }


def to_be_certified(
    problem: DualProblem, responses: pd.DataFrame, loop: LoopParams, evaluate: EvaluateParams
) -> DualProblem:
    """The problem with the levels at which its thresholds are to be seen to hold, first in training, then at a first look.

    The certificate's level and prompts are those of the evaluation.
    """
    there = units_of_test_split(responses, evaluate.sampling.prompts)
    held = len(problem.thresholds)
    first_look = 1.0 - alpha_of_look(1.0 - evaluate.confidence, 1) if loop.confidence > 0.5 else 0.5
    return replace(
        problem,
        test_prompts=there,
        level=each_level(loop.confidence, held),
        certificate_level=each_level(first_look, held),
    )


def repetition(lag: LagParams, fit: FixedFit, rows: int, prompts: int) -> list[Finding]:
    """Whether the steps between two refreshes go over few rows so often that they are learned by heart.

    Args:
        lag: whether the reference moves, and on what.
        fit: how many rows are drawn.
        rows: of the data.
        prompts: of the data.
    """
    if isinstance(lag, NoLag):
        return []
    drawn = min(lag.every, fit.steps) * fit.batch_size * fit.accumulation
    if isinstance(lag, FreshLag):
        available = min(lag.fresh_prompts, prompts) * lag.fresh_responses
        remedy = (
            "raise train.lag.fresh_prompts or train.lag.fresh_responses, or lower train.lag.every"
        )
    elif lag.rows is None or lag.rows >= rows:
        return []
    else:
        available = lag.rows
        remedy = "raise train.lag.rows or lower train.lag.every"
    times = drawn / available
    return [Finding("rows repeat", times, MAX_REPEATS, remedy)] if times > MAX_REPEATS else []


def cut_rows(truncated: NDArray[np.bool_], ended: NDArray[np.bool_]) -> list[Finding]:
    """What to say of training rows without an end.

    Args:
        truncated: (n,) rows longer than the context.
        ended: (n,) rows whose writer ended them.
    """
    by_context = truncated.sum() >= (~ended).sum()
    remedy = CUT_BY_CONTEXT if by_context else CUT_WHEN_DRAWN
    return cut_finding(truncated | ~ended, "training answers", remedy)
