"""Wiring of the reference stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import order_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """Responses to the reference policy and its log-probabilities."""
    return stage(
        "reference",
        [
            Node(
                lazy("mopo_pipeline.pipelines.reference.nodes:train_reference"),
                [
                    "responses",
                    "plan_table",
                    "params:task",
                    "params:reference",
                    "params:train",
                    "params:evaluate",
                ],
                ["reference_policy", "reference_log"],
                name="train_reference",
                tags=order_only("plan_table", "params:train", "params:evaluate"),
            ),
            Node(
                lazy("mopo_pipeline.pipelines.reference.nodes:score_reference"),
                ["responses", "reference_policy", "params:reference"],
                "reference_logprobs",
                name="score_reference",
            ),
        ],
    )
