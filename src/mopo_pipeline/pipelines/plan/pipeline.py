"""Wiring of the plan stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.plan.nodes import foresee_certificate, plan_training


def create_pipeline(**_: Any) -> Pipeline:
    """Win rates and comparisons to the training plan, its row weights, and how sure its certificate can be."""
    return Pipeline(
        [
            Node(
                plan_training,
                ["win_rates", "comparisons", "predictions", "params:task", "params:plan"],
                ["training_plan", "row_weights"],
                name="plan_training",
            ),
            Node(
                foresee_certificate,
                ["responses", "win_rates", "training_plan", "row_weights", "params:evaluate"],
                "certificate_power",
                name="foresee_certificate",
            ),
        ],
        tags="plan",
    )
