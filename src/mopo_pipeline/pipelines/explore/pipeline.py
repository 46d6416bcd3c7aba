"""Wiring of the plan explorer."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import THRESHOLDS, order_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """All that a plan is solved from to a page that solves it."""
    return stage(
        "explore",
        [
            Node(
                lazy("mopo_pipeline.reporting.plan_explorer:write_plan_explorer"),
                [
                    "responses",
                    "win_rates",
                    "comparisons",
                    "predictions",
                    "params:task",
                    "params:plan",
                    "params:report",
                ],
                "plan_explorer",
                name="write_plan_explorer",
                tags=[THRESHOLDS, *order_only("params:report")],
            )
        ],
    )
