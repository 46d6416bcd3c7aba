"""The plan as rows for other trainers."""

from mopo_pipeline.pipelines.rows.pipeline import create_pipeline

__all__ = ["create_pipeline"]
