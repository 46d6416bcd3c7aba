"""From the plan to the policy: rows, weights and thresholds handed to the trainer, the result exported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.language.lengths import ENDED, cut_finding, ended_column, tell
from mopo_pipeline.language.loading import model_digest
from mopo_pipeline.launching.run import TrainingRun, train
from mopo_pipeline.mopo import Comparisons, Finding
from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.parameters.base import OF_MODEL, TaskParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag
from mopo_pipeline.parameters.train import LoopParams, TrainParams
from mopo_pipeline.pareto.bounds import alpha_of_look
from mopo_pipeline.plan.problem import dual_problem, row_comparisons
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.policies.export import export_policy, fingerprint
from mopo_pipeline.policies.reference_logprobs import CUT_BY_CONTEXT, check_logprobs
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.training.fresh_judge import try_judge

CUT_WHEN_DRAWN = "they end nowhere: raise ingest.sampled.max_new_tokens, or drop them"

MAX_REPEATS = 8.0
"""Draws of a row between two refreshes. A guess between what was measured: 2.5 was harmless on the pocket task, 22 was not."""


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
) -> tuple[Path, pd.DataFrame, list[dict[str, Any]]]:
    """Train the policy the plan describes.

    Returns:
        A standard model or adapter directory with tokenizer and model card, the training log, and
        what the diagnosis of the run found.

    Raises:
        InputError: log-probabilities of another reference, text or context, or a judge of fresh
            responses that cannot judge.
        TrainingStoppedError: training could not usefully go on; checkpoints are kept.
    """
    trained = responses.loc[responses["response_id"].isin(row_weights["response_id"])]
    context = check_logprobs(reference_logprobs, trained, reference_policy)
    rows = training_rows(responses, row_weights, reference_logprobs)
    problem = to_be_certified(
        dual_problem(rows, win_rates, comparisons, predictions, plan), responses, params.loop
    )
    table = rows[["prompt", "response", ENDED, "weight"]].assign(reference_logprob=rows["logprob"])
    scorer = None
    if isinstance(params.lag, FreshLag):
        judged = judged_comparisons(rows, comparisons, predictions, plan)
        problem = replace(problem, comparisons=judged)
        scorer = preference_model if params.lag.judge == "preference_model" else None
        try_judge(params.lag, problem.objectives, scorer, table)
    prompts = table["prompt"].nunique()
    early = [*repetition(params, len(table), prompts), *cut_rows(*_without_end(rows))]
    tell(early)
    validation, labels = validation_rows(
        responses, comparisons, predictions, reference_logprobs, plan.objectives, params, task.seed
    )
    run = TrainingRun(
        "policy", reference_policy, table, params.fit, task.seed, params.lag, params.lora, problem,
        scorer, validation, context, params.loop, labels, params.start,
    )  # fmt: skip
    result = train(run, params.work_dir)
    given = [p.model_dump(mode="json", exclude={"work_dir", "start"}) for p in (task, params)]
    facts = {
        "plan": plan.to_json(),
        "data_fingerprint": fingerprint(rows, win_rates, comparisons),
        "config_fingerprint": fingerprint(*given, plan.to_json()),
        "base_fingerprint": model_digest(reference_policy),
    }
    findings = [*(finding.as_dict() for finding in early), *result.findings]
    policy = export_policy(result.directory, params.work_dir, facts)
    return policy, result.log.assign(truncated_rows=result.truncated), findings


def to_be_certified(problem: DualProblem, responses: pd.DataFrame, loop: LoopParams) -> DualProblem:
    """The problem with the levels at which its thresholds are to be seen to hold, first in training, then at a first look."""
    asked = responses.loc[responses["split"] == "test", "prompt_id"].nunique()
    held = len(problem.thresholds)
    first_look = 1.0 - alpha_of_look(1.0 - loop.confidence, 1) if loop.confidence > 0.5 else 0.5
    return replace(
        problem,
        test_prompts=int(asked),
        level=each_level(loop.confidence, held),
        certificate_level=each_level(first_look, held),
    )


def judged_comparisons(
    rows: pd.DataFrame, comparisons: pd.DataFrame, predictions: pd.DataFrame, plan: TrainingPlan
) -> Comparisons | None:
    """Comparisons of the training rows beside what the model that judges fresh responses says of them.

    Its error is measured on these: what people said of the very answers is no part of it. None where no
    model was fitted, or nothing is to be sure.
    """
    own = {f"{name}{OF_MODEL}": name for name in plan.objectives}
    if not plan.assured or not set(own) <= set(predictions):
        return None
    said = predictions.drop(columns=list(plan.objectives)).rename(columns=own)
    return row_comparisons(rows, comparisons, said, plan.objectives)


def training_rows(
    responses: pd.DataFrame, row_weights: pd.DataFrame, reference_logprobs: pd.DataFrame
) -> pd.DataFrame:
    """Weighted rows with their texts, whether they have an end, and log pi_ref."""
    texts = responses[["response_id", "prompt", "response"]].assign(
        **{ENDED: ended_column(responses)}
    )
    scored = reference_logprobs[["response_id", "logprob", "truncated"]]
    once: dict[str, Any] = {"on": "response_id", "how": "left", "validate": "one_to_one"}
    return row_weights.merge(texts, **once).merge(scored, **once)


def validation_rows(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    reference_logprobs: pd.DataFrame,
    objectives: tuple[str, ...],
    params: TrainParams,
    seed: int,
) -> tuple[pd.DataFrame, Comparisons | None]:
    """Answers to validation prompts: all of them for fresh responses, else those that labels speak of.

    Returns:
        prompt, response, ended, reference_logprob; and the comparisons of these rows, None where labels
        are not looked at or there are none.
    """
    unseen = responses.loc[responses["split"] == "validation"]
    rows = unseen[["response_id", "prompt_id", "prompt", "response"]].assign(
        **{ENDED: ended_column(unseen)}
    )
    if isinstance(params.lag, FreshLag):
        return rows[["prompt", "response", ENDED]], None
    compared = comparisons.loc[comparisons["split"] == "validation"]
    prompts = np.sort(compared["prompt_id"].unique())
    limit = params.loop.prompts
    if limit is not None and limit < len(prompts):
        drawn = generator(seed, Stream.VALIDATION_PROMPTS).choice(
            len(prompts), size=limit, replace=False
        )
        prompts = prompts[np.sort(drawn)]
    scored = reference_logprobs[["response_id", "logprob"]]
    rows = rows.loc[rows["prompt_id"].isin(prompts)].merge(
        scored, on="response_id", how="left", validate="one_to_one"
    )
    rows = rows.rename(columns={"logprob": "reference_logprob"}).reset_index(drop=True)
    labels = row_comparisons(rows, comparisons, predictions, objectives)
    return rows[["prompt", "response", ENDED, "reference_logprob"]], labels


def repetition(params: TrainParams, rows: int, prompts: int) -> list[Finding]:
    """Whether the steps between two refreshes go over few rows so often that they are learned by heart.

    Args:
        params: lag and fit.
        rows: of the data.
        prompts: of the data.
    """
    lag, fit = params.lag, params.fit
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


def _without_end(rows: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows were cut by the context, and which their writer ended, both (n,)."""
    return rows["truncated"].to_numpy(dtype=bool), rows[ENDED].to_numpy(dtype=bool)


def cut_rows(truncated: NDArray[np.bool_], ended: NDArray[np.bool_]) -> list[Finding]:
    """What to say of training rows without an end.

    Args:
        truncated: (n,) rows longer than the context.
        ended: (n,) rows whose writer ended them.
    """
    by_context = truncated.sum() >= (~ended).sum()
    remedy = CUT_BY_CONTEXT if by_context else CUT_WHEN_DRAWN
    return cut_finding(truncated | ~ended, "training answers", remedy)
