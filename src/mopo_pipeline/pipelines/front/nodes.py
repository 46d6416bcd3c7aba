"""Nodes of the front."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams


def train_points(
    front_plan: dict[str, Any],
    reference_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    preference_report: dict[str, Any],
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    reference_policy: Path,
    task: TaskParams,
    train: TrainParams,
    evaluate: EvaluateParams,
    params: FrontParams,
) -> dict[str, Any]:
    """A policy per point, each trained and certified by a run of its own under ``front/``; other seeds' fronts after them.

    The artifacts among the inputs are shared with these runs through the data root; ``evaluate`` is what their
    certificates rest on. The front of another seed is a process here, whose own points go where these do.
    """
    from mopo_pipeline.fronts.candidates import ModelPolicy
    from mopo_pipeline.fronts.executors.choose import chosen_executor
    from mopo_pipeline.fronts.executors.processes import Processes
    from mopo_pipeline.fronts.jobs import check_trains
    from mopo_pipeline.fronts.jobs_of_points import jobs_of_points, jobs_of_seeds, jobs_of_tuning
    from mopo_pipeline.fronts.sweep import POLICY, run_jobs
    from mopo_pipeline.fronts.tuning import best_of
    from mopo_pipeline.policies.validated import check_labelled, validation_hypervolume

    assert params.run is not None
    check_trains(train)
    tried = jobs_of_tuning(front_plan, train, params)
    if tried:
        check_labelled(comparisons, task.names)
    runs = run_jobs(tried, params.run, params.data_root, chosen_executor(params)) if tried else {}

    def worth(folders: Sequence[Path]) -> float | None:
        """Of the policies of some runs, by validation labels."""
        policies = [ModelPolicy(folder / POLICY, evaluate.batch_tokens) for folder in folders]
        first = ModelPolicy(Path(reference_policy), evaluate.batch_tokens)
        corner = params.hypervolume_reference
        return validation_hypervolume(policies, first, responses, comparisons, task.names, corner)

    tuned = best_of(runs, params, worth)
    jobs = jobs_of_points(front_plan, train, params, tuned)
    outcomes = run_jobs(jobs, params.run, params.data_root, chosen_executor(params))
    seeds = jobs_of_seeds(task.seed, params) if jobs else []
    fronts = run_jobs(seeds, params.run, params.data_root, Processes(1))
    return {
        "tuning": tuned.as_dict(),
        "points": {name: outcome.as_dict() for name, outcome in outcomes.items()},
        "seeds": {name: outcome.as_dict() for name, outcome in fronts.items()},
    }


def value_points(
    front_plan: dict[str, Any],
    front_runs: dict[str, Any],
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    reference_policy: Path,
    reference_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    win_rates: pd.DataFrame,
    preference_model: Path,
    task: TaskParams,
    plan: PlanParams,
    train: TrainParams,
    evaluate: EvaluateParams,
    steerable: SteerableParams,
    params: FrontParams,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Every policy of every method by the same evaluation, with its answers to a few prompts."""
    from mopo_pipeline.fronts import collect
    from mopo_pipeline.fronts.candidates import REFERENCE, STEERABLE
    from mopo_pipeline.fronts.steered import steered_candidates
    from mopo_pipeline.fronts.tables import front_tables
    from mopo_pipeline.fronts.values import ground
    from mopo_pipeline.pipelines.front.rivals import Training, rival_candidates
    from mopo_pipeline.steerable.train import Given

    tables, models = (responses, comparisons), (reference_policy, evaluation_preference_model)
    on = ground(*tables, *models, task, evaluate, params.samples, params.estimator)
    asked = on.asked["prompt"].tolist()
    trained = collect.trained_candidates(
        front_plan, front_runs, task.seed, evaluate, params.variants, asked
    )
    between = collect.interpolated_candidates(trained, front_plan, params, evaluate, task.names)
    candidates = [*trained, *between]
    if STEERABLE in params.methods:
        given = Given.of(
            front_plan,
            (responses, win_rates, reference_logprobs),
            (reference_policy, preference_model),
            (task, plan, train),
        )
        candidates += steered_candidates(given, front_plan, steerable, evaluate.batch_tokens)
    if REFERENCE in params.methods:
        candidates.append(collect.reference_candidate(reference_policy, task.seed, evaluate))
    if len(task.names) > 1:
        context = int(reference_logprobs["context"].iloc[0])
        training = Training(Path(reference_policy), *tables, task, context, train, preference_model)
        candidates += rival_candidates(training, params)
    points, values, samples = map(
        _joined, front_tables(candidates, on), collect.tables_of_seeds(front_runs)
    )
    return points, values, samples


def _joined(own: pd.DataFrame, others: list[pd.DataFrame]) -> pd.DataFrame:
    """A table of this seed's front and those of the other ones."""
    return pd.concat([own, *others], ignore_index=True)


def judge_front(
    front_plan: dict[str, Any],
    front_points: pd.DataFrame,
    front_values: pd.DataFrame,
    front_runs: dict[str, Any],
    responses: pd.DataFrame,
    task: TaskParams,
    plan: PlanParams,
    evaluate: EvaluateParams,
    params: FrontParams,
) -> dict[str, Any]:
    """Who dominates whom, with what the plans already found."""
    from mopo_pipeline.evaluation.sampling import prompts_of_test_split
    from mopo_pipeline.fronts.collect import responses_of_seeds
    from mopo_pipeline.fronts.compared import Asked
    from mopo_pipeline.fronts.judged import judge_findings
    from mopo_pipeline.fronts.truth import truth
    from mopo_pipeline.fronts.verdict import front_report

    pocket, truths = str(responses["source"].iloc[0]) == "pocket", {}
    if pocket and params.exact_points and len(task.names) > 1:
        columns = [f"threshold_{name}" for name in task.names[1:]]
        ours = front_points.loc[
            (front_points["method"] == "mopo") & (front_points["status"] == "done")
        ]
        for seed, data in ({task.seed: responses} | responses_of_seeds(front_runs)).items():
            prompts = prompts_of_test_split(data, evaluate.sampling.prompts, seed)["prompt"]
            asked_for = ours.loc[ours["seed"] == seed, columns].to_numpy(dtype=float)
            truths[seed] = truth(
                prompts.tolist(), task.names, asked_for, plan.tau, params.exact_points
            )
    asked = Asked(
        params.hypervolume_reference,
        evaluate.confidence,
        evaluate.bootstrap,
        task.seed,
        params.kl_budget,
    )
    report = front_report(front_points, front_values, task.names, asked, truths)
    lost = lost_seeds(front_runs)
    judged = [] if pocket else [f.as_dict() for f in judge_findings(front_points, task.names)]
    return report | {"findings": [*front_plan["findings"], *lost, *judged, *report["findings"]]}


def lost_seeds(front_runs: dict[str, Any]) -> list[dict[str, Any]]:
    """Seeds whose whole front failed, as findings."""
    from mopo_pipeline.mopo import Finding

    failed = {n: run for n, run in front_runs["seeds"].items() if run["status"] != "done"}
    return [
        Finding(f"the front of {name} failed", 1.0, 0.0, run["reason"]).as_dict()
        for name, run in failed.items()
    ]
