"""Wiring of the ingest stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.ingest.nodes import ingest_source


def create_pipeline(**_: Any) -> Pipeline:
    """A source to responses and, where it has them, pairwise judgements."""
    return Pipeline(
        [
            Node(
                ingest_source,
                ["params:task", "params:ingest"],
                ["responses", "judgements", "ingest_report"],
                name="ingest_source",
            )
        ],
        tags="ingest",
    )
