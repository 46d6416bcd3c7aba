"""Wiring of the preferences stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.preferences.nodes import (
    build_comparisons,
    estimate_win_rates,
    report_preferences,
)


def create_pipeline(**_: Any) -> Pipeline:
    """Labels to comparisons to win rates, with a quality report on the way."""
    return Pipeline(
        [
            Node(
                build_comparisons,
                ["responses", "judgements", "params:task", "params:preferences"],
                "comparisons",
                name="build_comparisons",
            ),
            Node(
                report_preferences,
                ["judgements", "comparisons", "params:task"],
                ["preference_report", "agreement_matrix"],
                name="report_preferences",
            ),
            Node(
                estimate_win_rates,
                ["responses", "comparisons", "params:task", "params:preferences"],
                ["win_rates", "predictions", "preference_model", "preference_model_metrics"],
                name="estimate_win_rates",
            ),
        ],
        tags="preferences",
    )
