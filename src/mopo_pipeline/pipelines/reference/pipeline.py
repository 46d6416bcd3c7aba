"""Wiring of the reference stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.reference.nodes import score_reference, train_reference


def create_pipeline(**_: Any) -> Pipeline:
    """Responses to the reference policy and its log-probabilities."""
    return Pipeline(
        [
            Node(
                train_reference,
                [
                    "responses",
                    "training_plan",
                    "params:task",
                    "params:reference",
                    "params:train",
                    "params:evaluate",
                ],
                ["reference_policy", "reference_log"],
                name="train_reference",
            ),
            Node(
                score_reference,
                ["responses", "reference_policy", "params:reference"],
                "reference_logprobs",
                name="score_reference",
            ),
        ],
        tags="reference",
    )
