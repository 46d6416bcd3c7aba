"""The preferences stage."""

from mopo_pipeline.pipelines.preferences.pipeline import create_pipeline

__all__ = ["create_pipeline"]
