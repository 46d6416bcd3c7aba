"""Wiring of the train stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import reads_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """Plan, weights and reference to the policy."""
    return stage(
        "train",
        [
            Node(
                lazy("mopo_pipeline.policies.extract:extract_policy"),
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
                    "params:evaluate",
                ],
                ["policy", "training_log", "training_findings"],
                name="train_policy",
                tags=reads_only("evaluate", "confidence", "sampling.prompts"),
            )
        ],
    )
