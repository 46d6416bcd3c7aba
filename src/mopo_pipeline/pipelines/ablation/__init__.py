"""The task's policy with other parameters, run by name."""

from mopo_pipeline.pipelines.ablation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
