"""Wiring of the plan stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.plan.nodes import plan_training


def create_pipeline(**_: Any) -> Pipeline:
    """Win rates and comparisons to the training plan and its row weights."""
    return Pipeline(
        [
            Node(
                plan_training,
                ["win_rates", "comparisons", "predictions", "params:task", "params:plan"],
                ["training_plan", "row_weights"],
                name="plan_training",
            )
        ],
        tags="plan",
    )
