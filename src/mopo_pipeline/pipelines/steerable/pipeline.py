"""Wiring of the steerable policy."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import reads_only, stage

DECIDING = ("points", "trainings", "rounds", "answers", "confidence")
"""Keys of ``steerable`` that decide the policy; the thresholds are asked of it afterwards."""


def create_pipeline(**_: Any) -> Pipeline:
    """Plans of a front to one policy for all thresholds, to answers at some."""
    return stage(
        "steerable",
        [
            Node(
                lazy("mopo_pipeline.pipelines.steerable.nodes:train_steerable"),
                [
                    "front_plan",
                    "responses",
                    "win_rates",
                    "reference_policy",
                    "reference_logprobs",
                    "preference_model",
                    "params:task",
                    "params:plan",
                    "params:train",
                    "params:steerable",
                ],
                "steerable_policy",
                name="train_steerable",
                tags=[
                    *reads_only("plan", "tau", "normalisation", "kappa"),
                    *reads_only("steerable", *DECIDING),
                ],
            ),
            Node(
                lazy("mopo_pipeline.pipelines.steerable.nodes:answer_thresholds"),
                [
                    "steerable_policy",
                    "responses",
                    "params:task",
                    "params:evaluate",
                    "params:steerable",
                ],
                "steered_answers",
                name="answer_thresholds",
                tags=reads_only("steerable", "thresholds"),
            ),
            Node(
                lazy("mopo_pipeline.reporting.steered:steered_table"),
                ["steered_answers", "params:task"],
                None,
                name="print_steered",
            ),
        ],
    )
