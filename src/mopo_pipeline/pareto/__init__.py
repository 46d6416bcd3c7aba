"""Fronts and what can be said about them: dominance, indicators, intervals (all maximise)."""

from mopo_pipeline.pareto.dominance import SetRelation, compare_sets, dominates, non_dominated
from mopo_pipeline.pareto.front import true_front, true_front_at
from mopo_pipeline.pareto.indicators import (
    additive_epsilon,
    expected_utility,
    hypervolume,
    igd_plus,
)
from mopo_pipeline.pareto.intervals import Interval, bootstrap_interval, bootstrap_means

__all__ = [
    "Interval",
    "SetRelation",
    "additive_epsilon",
    "bootstrap_interval",
    "bootstrap_means",
    "compare_sets",
    "dominates",
    "expected_utility",
    "hypervolume",
    "igd_plus",
    "non_dominated",
    "true_front",
    "true_front_at",
]
