"""One policy for all thresholds, run by name."""

from mopo_pipeline.pipelines.steerable.pipeline import create_pipeline

__all__ = ["create_pipeline"]
