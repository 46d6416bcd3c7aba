"""The method, exact and pure: importance ratios, duals, bounds, certificates (docs/method.md)."""

from mopo_pipeline.mopo.bound import LowerBound, epsilon_for_confidence, lower_bound
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.dual import DualSolution, solve_dual
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.feasibility import attainable_range
from mopo_pipeline.mopo.pooling import choose_pooling
from mopo_pipeline.mopo.tabular import TabularRun, run_tabular

__all__ = [
    "Comparisons",
    "DualSolution",
    "InfeasibleThresholdsError",
    "LowerBound",
    "NotConvergedError",
    "TabularRun",
    "attainable_range",
    "choose_pooling",
    "epsilon_for_confidence",
    "lower_bound",
    "run_tabular",
    "solve_dual",
]
