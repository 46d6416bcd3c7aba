"""Wiring of the train stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.train.nodes import train_policy


def create_pipeline(**_: Any) -> Pipeline:
    """Plan, weights and reference to the policy."""
    return Pipeline(
        [
            Node(
                train_policy,
                [
                    "responses",
                    "win_rates",
                    "comparisons",
                    "predictions",
                    "training_plan",
                    "row_weights",
                    "reference_policy",
                    "reference_logprobs",
                    "preference_model",
                    "params:task",
                    "params:train",
                ],
                ["policy", "training_log", "training_findings"],
                name="train_policy",
            )
        ],
        tags="train",
    )
