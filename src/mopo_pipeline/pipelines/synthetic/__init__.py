"""The synthetic experiment, run by name."""

from mopo_pipeline.pipelines.synthetic.pipeline import create_pipeline

__all__ = ["create_pipeline"]
