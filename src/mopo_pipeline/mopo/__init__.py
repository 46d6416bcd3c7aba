"""The method: constrained multi-objective preference optimisation, pure numpy and scipy."""

from mopo_pipeline.mopo.bound import LowerBound, epsilon_for_confidence, lower_bound
from mopo_pipeline.mopo.dual import solve_dual
from mopo_pipeline.mopo.feasibility import InfeasibleThresholdsError, attainable_range
from mopo_pipeline.mopo.solution import Comparisons, DualSolution

__all__ = [
    "Comparisons",
    "DualSolution",
    "InfeasibleThresholdsError",
    "LowerBound",
    "attainable_range",
    "epsilon_for_confidence",
    "lower_bound",
    "solve_dual",
]
