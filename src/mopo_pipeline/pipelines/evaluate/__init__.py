"""How good the trained policy is, on prompts it never saw, by judges that never trained it."""

from mopo_pipeline.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
