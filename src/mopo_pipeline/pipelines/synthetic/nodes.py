"""Nodes of the synthetic experiment."""

from typing import Any

import pandas as pd

from mopo_pipeline.parameters.synthetic import SyntheticParams


def sweep_structures(synthetic: SyntheticParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recovered points beside the true optimum, one by one and summed up."""
    from mopo_pipeline.experiments.synthetic import shortfalls, sweep

    found = sweep(synthetic)
    return found, shortfalls(found)


def measure_coverage(synthetic: SyntheticParams) -> pd.DataFrame:
    """Sampled preferences: how often the thresholds truly hold."""
    from mopo_pipeline.experiments.coverage import coverage

    return coverage(synthetic)


def run_published_updates(synthetic: SyntheticParams) -> pd.DataFrame:
    """Minibatch updates: distance to the exact policy."""
    from mopo_pipeline.experiments.stochastic import distances

    return distances(synthetic)


def draw_structures(sweep: pd.DataFrame, synthetic: SyntheticParams) -> dict[str, Any]:
    """One figure per structure."""
    from mopo_pipeline.reporting.synthetic import structure_figures

    return structure_figures(sweep, synthetic)


def draw_published_updates(distances: pd.DataFrame) -> object:
    """One panel per structure."""
    from mopo_pipeline.reporting.stochastic import distance_figure

    return distance_figure(distances)
