"""The reference stage."""

from mopo_pipeline.pipelines.reference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
