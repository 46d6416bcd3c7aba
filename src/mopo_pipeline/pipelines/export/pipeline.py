"""Wiring of the export."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import reads_only, stage


def create_pipeline(**_: Any) -> Pipeline:
    """A certified policy to a folder that needs nothing of this project."""
    return stage(
        "export",
        [
            Node(
                lazy("mopo_pipeline.pipelines.export.nodes:release_policy"),
                [
                    "policy",
                    "reference_policy",
                    "responses",
                    "threshold_checks",
                    "evaluation_summary",
                    "certificate",
                    "params:export",
                    "params:evaluate",
                    "params:reference",
                    "ingest_report",
                ],
                "release",
                name="release_policy",
                tags=reads_only("reference", "model"),
            )
        ],
    )
