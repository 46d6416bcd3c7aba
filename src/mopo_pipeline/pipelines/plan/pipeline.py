"""Wiring of the plan stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import THRESHOLDS, reads_only, stage

FORESEEN_BY = [
    *reads_only("train", "lag", "fit.steps", "fit.epochs", "fit.batch_size", "fit.accumulation"),
    *reads_only("evaluate", "confidence", "max_ratio", "sampling.prompts", "sampling.samples"),
]
"""Tags: what the width of a certificate rests on before anything is trained."""


def create_pipeline(**_: Any) -> Pipeline:
    """Win rates and comparisons to the training plan, its row weights, and how sure its certificate can be."""
    return stage(
        "plan",
        [
            Node(
                lazy("mopo_pipeline.plan.make:make_plan"),
                ["win_rates", "comparisons", "predictions", "params:task", "params:plan"],
                ["training_plan", "row_weights"],
                name="plan_training",
                tags=THRESHOLDS,
            ),
            Node(
                lazy("mopo_pipeline.pipelines.plan.nodes:foresee_certificate"),
                [
                    "responses",
                    "win_rates",
                    "comparisons",
                    "predictions",
                    "training_plan",
                    "row_weights",
                    "params:train",
                    "params:evaluate",
                ],
                "certificate_power",
                name="foresee_certificate",
                tags=FORESEEN_BY,
            ),
            Node(
                lazy("mopo_pipeline.pipelines.plan.nodes:tabulate_plan"),
                [
                    "win_rates",
                    "comparisons",
                    "predictions",
                    "training_plan",
                    "certificate_power",
                    "params:task",
                    "params:plan",
                ],
                "plan_table",
                name="tabulate_plan",
                tags=THRESHOLDS,
            ),
            Node(
                lazy("mopo_pipeline.pipelines.plan.nodes:print_plan"),
                ["plan_table", "params:report"],
                None,
                name="print_plan",
            ),
        ],
    )
