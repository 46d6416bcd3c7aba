"""A front of policies beside its rivals, run by name."""

from mopo_pipeline.pipelines.front.pipeline import create_pipeline

__all__ = ["create_pipeline"]
