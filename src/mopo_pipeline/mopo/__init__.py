"""The method: constrained multi-objective preference optimisation, pure numpy and scipy."""

from mopo_pipeline.mopo.bound import LowerBound, epsilon_for_confidence, lower_bound
from mopo_pipeline.mopo.dual import solve_dual
from mopo_pipeline.mopo.feasibility import InfeasibleThresholdsError, attainable_range
from mopo_pipeline.mopo.pooling import choose_pooling
from mopo_pipeline.mopo.solution import Comparisons, DualSolution
from mopo_pipeline.mopo.tabular import TabularRun, run_tabular, win_rates_against

__all__ = [
    "Comparisons",
    "DualSolution",
    "InfeasibleThresholdsError",
    "LowerBound",
    "TabularRun",
    "attainable_range",
    "choose_pooling",
    "epsilon_for_confidence",
    "lower_bound",
    "run_tabular",
    "solve_dual",
    "win_rates_against",
]
