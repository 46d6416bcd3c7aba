"""What scores an answer: rules, preference models, published reward models."""

from mopo_pipeline.judges.base import Comparer, Judge, Scorer, differences, win_rates_against

__all__ = ["Comparer", "Judge", "Scorer", "differences", "win_rates_against"]
