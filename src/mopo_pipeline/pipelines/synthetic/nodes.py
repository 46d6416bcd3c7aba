"""Nodes of the synthetic experiment."""

import pandas as pd

from mopo_pipeline.parameters.synthetic import SyntheticParams


def sweep_structures(synthetic: SyntheticParams) -> pd.DataFrame:
    """Exact preferences: recovered points beside the true optimum."""
    from mopo_pipeline.experiments.synthetic import sweep

    return sweep(synthetic)


def measure_coverage(synthetic: SyntheticParams) -> pd.DataFrame:
    """Sampled preferences: how often the thresholds truly hold."""
    from mopo_pipeline.experiments.synthetic import coverage

    return coverage(synthetic)


def draw_synthetic(sweep: pd.DataFrame, synthetic: SyntheticParams) -> object:
    """One panel per structure."""
    from mopo_pipeline.reporting.synthetic import synthetic_figure

    return synthetic_figure(sweep, synthetic)
