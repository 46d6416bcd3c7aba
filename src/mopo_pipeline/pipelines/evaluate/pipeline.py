"""Wiring of the evaluate stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import draws_with, reads_only, stage

INTERVALS = ("confidence", "bootstrap")
"""Keys of the evaluation that every interval rests on."""


def create_pipeline(**_: Any) -> Pipeline:
    """Models and test data to values with intervals, threshold checks and a summary."""
    return stage("evaluate", [*_answers(), *_values(), _summary(), *_verdict()])


def _answers() -> list[Node]:
    """Judges, answers of both models, and what each says of them."""
    return [
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:fit_evaluation_model"),
            ["responses", "comparisons", "preference_model", "params:task", "params:preferences"],
            ["evaluation_preference_model", "evaluation_model_metrics"],
            name="fit_evaluation_model",
        ),
        Node(
            lazy("mopo_pipeline.evaluation.sampling:sample_completions"),
            ["reference_policy", "policy", "responses", "params:task", "params:evaluate"],
            "completions",
            name="sample_completions",
            tags=[draws_with("evaluate.sampling.engine"), *reads_only("evaluate", "sampling")],
        ),
        Node(
            lazy("mopo_pipeline.evaluation.sampling:logprobs_of_test_split"),
            ["policy", "responses", "reference_logprobs", "params:evaluate"],
            "test_logprobs",
            name="score_test_split",
            tags=reads_only("evaluate", "batch_tokens"),
        ),
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:judge_completions"),
            [
                "completions",
                "responses",
                "comparisons",
                "evaluation_preference_model",
                "params:task",
                "params:evaluate",
                "params:train",
            ],
            ["scores", "judge_quality", "duels"],
            name="judge_completions",
            tags=[
                *reads_only("train", "lag.reward_models", "lag.chat", "lag.judge"),
                *reads_only("evaluate", "judges", *INTERVALS),
            ],
        ),
    ]


def _values() -> list[Node]:
    """Values by every estimator, and thresholds held against them."""
    return [
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:enumerate_answers"),
            [
                "reference_policy",
                "policy",
                "responses",
                "training_plan",
                "params:task",
                "params:evaluate",
            ],
            "exact_reference",
            name="enumerate_answers",
            tags=reads_only("evaluate", "sampling.prompts", "front_points", *INTERVALS),
        ),
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:estimate_values"),
            [
                "completions",
                "scores",
                "responses",
                "comparisons",
                "test_logprobs",
                "evaluation_preference_model",
                "exact_reference",
                "judge_quality",
                "params:task",
                "params:evaluate",
            ],
            ["objective_values", "doubly_robust_facts"],
            name="estimate_values",
            tags=reads_only("evaluate", "max_ratio", *INTERVALS),
        ),
        Node(
            lazy("mopo_pipeline.evaluation.checks:threshold_checks"),
            ["objective_values", "training_plan", "judge_quality", "doubly_robust_facts"],
            "threshold_checks",
            name="check_thresholds",
        ),
    ]


def _summary() -> Node:
    """What is told of values and thresholds."""
    return Node(
        lazy("mopo_pipeline.pipelines.evaluate.nodes:summarise_evaluation"),
        [
            "completions",
            "threshold_checks",
            "evaluation_model_metrics",
            "judge_quality",
            "doubly_robust_facts",
            "exact_reference",
            "responses",
            "training_plan",
            "training_log",
            "duels",
            "certificate",
            "params:task",
            "params:evaluate",
        ],
        "evaluation_summary",
        name="summarise_evaluation",
        tags=reads_only("evaluate", "sampling", *INTERVALS),
    )


def _verdict() -> list[Node]:
    """What training changed beside the objectives, what the thresholds' certificate says, and the card that carries it."""
    return [
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:measure_capability"),
            [
                "completions",
                "test_logprobs",
                "responses",
                "reference_policy",
                "policy",
                "params:task",
                "params:evaluate",
            ],
            "capability",
            name="measure_capability",
            tags=reads_only("evaluate", "sampling", "capability", *INTERVALS),
        ),
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:certify"),
            [
                "policy",
                "responses",
                "comparisons",
                "completions",
                "threshold_checks",
                "doubly_robust_facts",
                "training_plan",
                "looks",
                "params:task",
                "params:evaluate",
            ],
            "certificate",
            name="certify",
        ),
        Node(
            lazy("mopo_pipeline.pipelines.evaluate.nodes:write_model_card"),
            [
                "policy",
                "threshold_checks",
                "evaluation_summary",
                "certificate",
                "ingest_report",
                "params:reference",
                "params:evaluate",
            ],
            "model_card",
            name="write_model_card",
            tags=reads_only("reference", "model") + reads_only("evaluate", "sampling"),
        ),
    ]
