"""Wiring of the ingest stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from mopo_pipeline.pipelines.lazy import lazy
from mopo_pipeline.pipelines.stage import draws_with, stage


def create_pipeline(**_: Any) -> Pipeline:
    """A source to responses and, where it has them, pairwise judgements."""
    return stage(
        "ingest",
        [
            Node(
                lazy("mopo_pipeline.sources.load:load_source"),
                ["params:ingest", "params:task"],
                ["responses", "judgements", "ingest_report"],
                name="ingest_source",
                tags=draws_with("ingest.sampled.engine"),
            )
        ],
    )
