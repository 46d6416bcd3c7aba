"""Which thresholds are attainable, and the weights that meet them, before any training."""

from mopo_pipeline.pipelines.plan.pipeline import create_pipeline

__all__ = ["create_pipeline"]
