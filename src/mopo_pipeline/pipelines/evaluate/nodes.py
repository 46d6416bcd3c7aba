"""Nodes of the evaluate stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams

if TYPE_CHECKING:
    from mopo_pipeline.evaluation.certificate import Certificate
    from mopo_pipeline.plan.training_plan import TrainingPlan


def fit_evaluation_model(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    preference_model: Path,
    task: TaskParams,
    preferences: PreferencesParams,
) -> tuple[Path, dict[str, Any]]:
    """A preference model of the validation split: a judge that trained no policy."""
    from mopo_pipeline.evaluation import judging
    from mopo_pipeline.language.sealed import handed_over

    directory = handed_over("evaluation-model-")
    metrics = judging.fit_evaluation_model(
        responses,
        comparisons,
        preference_model,
        task.names,
        preferences.win_rates.model,
        task.seed,
        directory,
    )
    if not any(directory.iterdir()):
        (directory / "none.json").write_text("{}", encoding="utf-8")
    return directory, metrics


def judge_completions(
    completions: pd.DataFrame,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    evaluation_preference_model: Path,
    task: TaskParams,
    params: EvaluateParams,
    train: TrainParams,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Scores and win rates of every answer by every judge, what labels say of each, and answers against the reference's."""
    from mopo_pipeline.evaluation import judging
    from mopo_pipeline.evaluation.judge_quality import judge_quality
    from mopo_pipeline.evaluation.protocol import duels
    from mopo_pipeline.sampling_units import sampling_units

    judges = judging.choose_judges(
        str(responses["source"].iloc[0]),
        judging.evaluation_model(evaluation_preference_model),
        task.names,
        params.judges,
    )
    quality = {
        judge.name: judge_quality(
            judge,
            responses,
            comparisons,
            completions,
            params,
            task.seed,
            model=evaluation_preference_model,
            steered=judging.steered_by(judge, params.judges, train.lag),
        )
        for judge in judges
    }
    scores = judging.judge_completions(completions, responses, judges, quality)
    return scores, quality, duels(completions, scores, judges, quality, sampling_units(responses))


def enumerate_answers(
    reference_policy: Path,
    policy: Path,
    responses: pd.DataFrame,
    training_plan: "TrainingPlan",
    task: TaskParams,
    params: EvaluateParams,
) -> dict[str, Any]:
    """The pocket task's exact optimum, fronts and values; unknown for every other source."""
    from mopo_pipeline.evaluation import exact, sampling
    from mopo_pipeline.sampling_units import sampling_units

    if responses["source"].iloc[0] != "pocket":
        return exact.UNKNOWN
    asked = sampling.prompts_of_test_split(responses, params.sampling.prompts, task.seed)
    return exact.exact_reference(
        asked["prompt"].tolist(),
        asked["prompt_id"].map(sampling_units(responses)).tolist(),
        reference_policy,
        policy,
        training_plan,
        params,
        task.seed,
    )


def estimate_values(
    completions: pd.DataFrame,
    scores: pd.DataFrame,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    test_logprobs: pd.DataFrame,
    evaluation_preference_model: Path,
    exact_reference: dict[str, Any],
    judge_quality: dict[str, Any],
    task: TaskParams,
    params: EvaluateParams,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Objective values by every estimator, and facts about those from labels."""
    from mopo_pipeline.evaluation import checks, judging, label_bias, rows, values, within_prompts
    from mopo_pipeline.sampling_units import sampling_units

    units = sampling_units(responses)
    judged = values.judged_values(
        completions, scores, units, task.names, params, task.seed, judge_quality
    )
    robust, facts = values.doubly_robust_values(
        responses,
        comparisons,
        test_logprobs,
        judging.evaluation_model(evaluation_preference_model),
        task.names,
        params,
        task.seed,
    )
    labelled = within_prompts.label_values(
        responses, comparisons, test_logprobs, task.names, params, task.seed
    )
    tables = responses, comparisons, test_logprobs
    of_test_split = comparisons.loc[comparisons["split"] == "test"]
    facts["labelled_per_prompt"] = label_bias.labelled_per_prompt(of_test_split, task.names)
    facts["drawn"] = within_prompts.drawn_to_half(*tables, task.names)
    facts["carried"] = within_prompts.carried_share(*tables, task.names)
    exact = checks.exact_rows(exact_reference, task.names)
    parts = [part for part in (exact, judged, robust, labelled) if not part.empty]
    return (pd.concat(parts, ignore_index=True) if parts else rows.no_values()), facts


def summarise_evaluation(
    completions: pd.DataFrame,
    threshold_checks: pd.DataFrame,
    evaluation_model_metrics: dict[str, Any],
    judge_quality: dict[str, Any],
    doubly_robust_facts: dict[str, Any],
    exact_reference: dict[str, Any],
    responses: pd.DataFrame,
    training_plan: "TrainingPlan",
    training_log: pd.DataFrame,
    duels: pd.DataFrame,
    certificate: "Certificate",
    task: TaskParams,
    params: EvaluateParams,
) -> dict[str, Any]:
    """KL, drift, form and diversity of the sampled answers, with findings, and the protocol's win rates."""
    from mopo_pipeline.evaluation.protocol import protocol
    from mopo_pipeline.evaluation.summary import evaluation_summary
    from mopo_pipeline.sampling_units import sampling_units

    summary = evaluation_summary(
        completions,
        threshold_checks,
        evaluation_model_metrics,
        judge_quality,
        doubly_robust_facts,
        exact_reference,
        str(responses["source"].iloc[0]),
        training_plan.kl,
        float(training_log["kl_planned"].iloc[-1]) if len(training_log) else None,
        certificate.estimator,
        sampling_units(responses),
    )
    told = protocol(duels, task.names, judge_quality, params, task.seed)
    return summary | {"protocol": told}


def measure_capability(
    completions: pd.DataFrame,
    test_logprobs: pd.DataFrame,
    responses: pd.DataFrame,
    reference_policy: Path,
    policy: Path,
    task: TaskParams,
    params: EvaluateParams,
) -> list[dict[str, Any]]:
    """What both models say and know beside the task, and what training changed of it."""
    from mopo_pipeline.evaluation import benchmarks, capability, prompt_sets, sampling
    from mopo_pipeline.language.loading import load_tokenizer
    from mopo_pipeline.sampling_units import sampling_units
    from mopo_pipeline.streams import completion_seed

    models = {"reference": Path(reference_policy), "policy": Path(policy)}
    longest = params.sampling.max_new_tokens or sampling.longest_answer(
        load_tokenizer(reference_policy), responses
    )
    return [
        *capability.capability_rows(
            completions,
            test_logprobs,
            sampling_units(responses),
            confidence=params.confidence,
            draws=params.bootstrap,
            seed=task.seed,
        ),
        *benchmarks.benchmark_rows(
            models, params.capability, params.sampling.batch_size, params.confidence
        ),
        *prompt_sets.refusal_rows(models, params, longest, completion_seed(task.seed, policy=True)),
    ]


def certify(
    policy: Path,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    completions: pd.DataFrame,
    threshold_checks: pd.DataFrame,
    doubly_robust_facts: dict[str, Any],
    training_plan: "TrainingPlan",
    looks: Any,
    task: TaskParams,
    params: EvaluateParams,
) -> "Certificate":
    """Whether all thresholds hold at a joint level; the look at the test split is written down first."""
    from mopo_pipeline.evaluation import certify as certifying
    from mopo_pipeline.evaluation.evidence import gather, take_look

    evidence = gather(policy, responses, comparisons, completions, doubly_robust_facts, task.names)
    look, refused = take_look(looks, evidence, threshold_checks, training_plan, params, task.seed)
    return certifying.certify(
        threshold_checks,
        training_plan,
        evidence,
        look,
        confidence=params.confidence,
        refused=refused,
    )


def write_model_card(
    policy: Path,
    threshold_checks: pd.DataFrame,
    evaluation_summary: dict[str, Any],
    certificate: "Certificate",
    ingest_report: dict[str, Any],
    reference: ReferenceParams,
    params: EvaluateParams,
) -> str:
    """The policy's card with the values it attained and its certificate."""
    from mopo_pipeline.policies.card import Measured, model_card, origin

    made_of = origin(reference.model, ingest_report, params.sampling)
    estimator = evaluation_summary["estimator"]
    return model_card(policy, Measured(threshold_checks, estimator, certificate, made_of))
