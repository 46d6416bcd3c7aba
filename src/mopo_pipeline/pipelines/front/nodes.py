"""Nodes of the front."""

from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.train import TrainParams


def train_points(
    front_plan: dict[str, Any],
    reference_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    preference_report: dict[str, Any],
    train: TrainParams,
    evaluate: EvaluateParams,
    params: FrontParams,
) -> dict[str, Any]:
    """A policy per point, each trained and certified by a run of its own under ``front/``.

    The artifacts among the inputs are shared with these runs through the data root; ``evaluate`` is what their
    certificates rest on.
    """
    from mopo_pipeline.fronts.jobs_of_points import jobs_of_points
    from mopo_pipeline.fronts.sweep import run_jobs

    assert params.run is not None
    jobs = jobs_of_points(front_plan, train, params)
    outcomes = run_jobs(jobs, params.run, params.data_root, params.workers)
    steps = {job.name: job.steps for job in jobs}
    return {
        name: outcome.as_dict()
        | {"steps": train.fit.steps if outcome.start is None else steps[name]}
        for name, outcome in outcomes.items()
    }


def value_points(
    front_plan: dict[str, Any],
    front_runs: dict[str, Any],
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    task: TaskParams,
    train: TrainParams,
    evaluate: EvaluateParams,
    params: FrontParams,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Every policy of every method by the same evaluation, with its answers to a few prompts."""
    from mopo_pipeline.fronts import collect
    from mopo_pipeline.fronts.candidates import REFERENCE
    from mopo_pipeline.fronts.tables import front_tables
    from mopo_pipeline.fronts.values import ground
    from mopo_pipeline.pipelines.front.rivals import Training, rival_candidates

    on = ground(
        responses, comparisons, reference_policy, evaluation_preference_model, task, evaluate,
        params.samples,
    )  # fmt: skip
    trained = collect.trained_candidates(front_plan, front_runs, task.seed, train, evaluate)
    between = collect.interpolated_candidates(trained, front_plan, params, evaluate, task.names)
    candidates = [*trained, *between]
    if REFERENCE in params.methods:
        candidates.append(collect.reference_candidate(reference_policy, task.seed, evaluate))
    if len(task.names) > 1:
        training = Training(
            Path(reference_policy), responses, comparisons, task,
            int(reference_logprobs["context"].iloc[0]), train, on.judge,
        )  # fmt: skip
        candidates += rival_candidates(training, params)
    return front_tables(candidates, on)


def judge_front(
    front_plan: dict[str, Any],
    front_points: pd.DataFrame,
    front_values: pd.DataFrame,
    responses: pd.DataFrame,
    task: TaskParams,
    plan: PlanParams,
    evaluate: EvaluateParams,
    params: FrontParams,
) -> dict[str, Any]:
    """Who dominates whom, with what the plans already found."""
    from mopo_pipeline.evaluation.sampling import prompts_of_test_split
    from mopo_pipeline.fronts.truth import truth
    from mopo_pipeline.fronts.verdict import Asked, front_report

    truths = {}
    if str(responses["source"].iloc[0]) == "pocket" and params.exact_points and len(task.names) > 1:
        prompts = prompts_of_test_split(responses, evaluate.sampling.prompts, task.seed)["prompt"]
        columns = [f"threshold_{name}" for name in task.names[1:]]
        ours = (front_points["method"] == "mopo") & (front_points["status"] == "done")
        asked_for = front_points.loc[ours, columns].to_numpy(dtype=float)
        truths[task.seed] = truth(
            prompts.tolist(), task.names, asked_for, plan.tau, params.exact_points
        )
    asked = Asked(
        params.hypervolume_reference, evaluate.confidence, evaluate.bootstrap, task.seed,
        params.kl_budget,
    )  # fmt: skip
    report = front_report(front_points, front_values, task.names, asked, truths)
    return report | {"findings": [*front_plan["findings"], *report["findings"]]}
