"""Wiring of the front."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import (
    SWEEPS,
    THRESHOLDS,
    TRAINS_RIVALS,
    order_only,
    reads_only,
    stage,
)
from mopo_pipeline.pipelines.steerable.pipeline import DECIDING


def create_pipeline(**_: Any) -> Pipeline:
    """Shared artifacts to plans, to a policy per point, to values, to a verdict."""
    return stage("front", [*_trained(), *_compared()])


def _trained() -> list[Node]:
    """Thresholds with their plans, and a run of its own for each."""
    return [
        Node(
            lazy("mopo_pipeline.fronts.points:plan_front"),
            [
                "win_rates",
                "comparisons",
                "predictions",
                "params:task",
                "params:plan",
                "params:front",
            ],
            "front_plan",
            name="plan_points",
            tags=[THRESHOLDS, *reads_only("front", "points", "reach", "thresholds")],
        ),
        Node(
            lazy("mopo_pipeline.pipelines.front.nodes:train_points"),
            [
                "front_plan",
                "reference_logprobs",
                "evaluation_preference_model",
                "preference_report",
                "responses",
                "comparisons",
                "reference_policy",
                "params:task",
                "params:train",
                "params:evaluate",
                "params:front",
            ],
            "front_runs",
            name="train_points",
            tags=[SWEEPS, *order_only("preference_report")],
        ),
    ]


def _compared() -> list[Node]:
    """What every policy is worth, and who dominates whom."""
    return [
        Node(
            lazy("mopo_pipeline.pipelines.front.nodes:value_points"),
            [
                "front_plan",
                "front_runs",
                "responses",
                "comparisons",
                "reference_policy",
                "reference_logprobs",
                "evaluation_preference_model",
                "win_rates",
                "preference_model",
                "params:task",
                "params:plan",
                "params:train",
                "params:evaluate",
                "params:steerable",
                "params:front",
            ],
            ["front_points", "front_values", "front_samples"],
            name="value_points",
            tags=[
                TRAINS_RIVALS,
                *reads_only("plan", "tau", "normalisation", "kappa"),
                *reads_only("steerable", *DECIDING),
            ],
        ),
        Node(
            lazy("mopo_pipeline.pipelines.front.nodes:judge_front"),
            [
                "front_plan",
                "front_points",
                "front_values",
                "front_runs",
                "responses",
                "params:task",
                "params:plan",
                "params:evaluate",
                "params:front",
            ],
            "front_report",
            name="judge_front",
        ),
        Node(
            lazy("mopo_pipeline.reporting.front_page:write_front_page"),
            ["front_points", "front_samples", "front_report"],
            "front_page",
            name="write_front_page",
        ),
        Node(
            lazy("mopo_pipeline.reporting.front_table:front_table"),
            ["front_report"],
            None,
            name="print_front",
        ),
    ]
