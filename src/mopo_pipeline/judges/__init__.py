"""What scores an answer: rules, preference models, published reward models."""

from mopo_pipeline.judges.base import Judge, win_rates_against

__all__ = ["Judge", "win_rates_against"]
