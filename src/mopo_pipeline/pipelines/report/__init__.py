"""Figures, tables, one page and the closing summary."""

from mopo_pipeline.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
