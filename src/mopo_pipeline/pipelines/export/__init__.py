"""The policy as a folder for use elsewhere, behind its certificate."""

from mopo_pipeline.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
