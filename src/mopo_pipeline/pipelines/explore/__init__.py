"""What a plan would give at other thresholds, as a page to try."""

from mopo_pipeline.pipelines.explore.pipeline import create_pipeline

__all__ = ["create_pipeline"]
