"""Wiring of the row export."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import reads_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """Plan, weights and reference to files that other trainers read."""
    return stage(
        "rows",
        [
            Node(
                lazy("mopo_pipeline.pipelines.rows.nodes:write_rows"),
                [
                    "responses",
                    "win_rates",
                    "comparisons",
                    "training_plan",
                    "row_weights",
                    "reference_policy",
                    "reference_logprobs",
                    "params:task",
                    "params:train",
                    "params:rows",
                ],
                ["rows_loss_scale", "rows_messages", "rows_tokens", "rows_manifest"],
                name="write_rows",
                tags=reads_only("train", "lag.mode", "lag.beta"),
            )
        ],
    )
