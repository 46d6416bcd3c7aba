"""Wiring of the preferences stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import stage


def create_pipeline(**_: Any) -> Pipeline:
    """Labels to comparisons to win rates, with a quality report on the way."""
    return stage(
        "preferences",
        [
            Node(
                lazy("mopo_pipeline.pipelines.preferences.nodes:build_comparisons"),
                ["responses", "judgements", "params:task", "params:preferences"],
                "comparisons",
                name="build_comparisons",
            ),
            Node(
                lazy("mopo_pipeline.pipelines.preferences.nodes:report_preferences"),
                ["judgements", "comparisons", "params:task"],
                ["preference_report", "agreement_matrix"],
                name="report_preferences",
            ),
            Node(
                lazy("mopo_pipeline.pipelines.preferences.nodes:estimate_win_rates"),
                ["responses", "comparisons", "params:task", "params:preferences"],
                ["win_rates", "predictions", "preference_model", "preference_model_metrics"],
                name="estimate_win_rates",
            ),
        ],
    )
