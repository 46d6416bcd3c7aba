"""Wiring of the ablations."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import SWEEPS, THRESHOLDS, order_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """Shared artifacts to a run per variant, to values by the evaluation of all fronts, to a page."""
    return stage(
        "ablation",
        [
            Node(
                lazy("mopo_pipeline.pipelines.ablation.nodes:train_variants"),
                [
                    "training_plan",
                    "reference_logprobs",
                    "evaluation_preference_model",
                    "preference_report",
                    "params:task",
                    "params:preferences",
                    "params:train",
                    "params:evaluate",
                    "params:front",
                    "params:ablation",
                ],
                "ablation_runs",
                name="train_variants",
                tags=[SWEEPS, THRESHOLDS, *order_only("preference_report")],
            ),
            Node(
                lazy("mopo_pipeline.pipelines.ablation.nodes:value_variants"),
                [
                    "ablation_runs",
                    "responses",
                    "comparisons",
                    "reference_policy",
                    "evaluation_preference_model",
                    "params:task",
                    "params:evaluate",
                    "params:ablation",
                ],
                ["ablation_points", "ablation_values"],
                name="value_variants",
            ),
            *_told(),
        ],
    )


def _told() -> list[Node]:
    """The closing table, pictures and the page."""
    return [
        Node(
            lazy("mopo_pipeline.reporting.front_table:variants_table"),
            ["ablation_points", "params:task"],
            None,
            name="print_variants",
        ),
        Node(
            lazy("mopo_pipeline.reporting.ablation:draw_ablation"),
            ["ablation_points", "ablation_runs", "params:task"],
            {
                "trajectories": "ablation_trajectories_figure",
                "stability": "ablation_stability_figure",
            },
            name="draw_variants",
        ),
        Node(
            lazy("mopo_pipeline.reporting.ablation:ablation_page"),
            [
                "ablation_points",
                "ablation_stability_figure",
                "ablation_trajectories_figure",
                "params:task",
            ],
            "ablation_page",
            name="write_page",
        ),
    ]
