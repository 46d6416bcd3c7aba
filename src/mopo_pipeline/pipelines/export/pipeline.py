"""Wiring of the export."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.export.nodes import release_policy


def create_pipeline(**_: Any) -> Pipeline:
    """A certified policy to a folder that needs nothing of this project."""
    return Pipeline(
        [
            Node(
                release_policy,
                [
                    "policy",
                    "reference_policy",
                    "responses",
                    "threshold_checks",
                    "evaluation_summary",
                    "certificate",
                    "params:export",
                    "params:evaluate",
                ],
                "release",
                name="release_policy",
            )
        ],
        tags="export",
    )
