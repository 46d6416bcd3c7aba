"""The method, exact and pure: importance ratios, duals, bounds, certificates (docs/method.md)."""

from mopo_pipeline.mopo.agreement import rank_agreement
from mopo_pipeline.mopo.bound import LowerBound, epsilon_for_confidence, lower_bound
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.diagnosis import Finding, Limits, Signals, diagnose_plan, diagnose_run
from mopo_pipeline.mopo.dual import DualSolution, solve_dual
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.estimated import attainable_bounds
from mopo_pipeline.mopo.feasibility import attainable_range
from mopo_pipeline.mopo.learned import learned_values
from mopo_pipeline.mopo.margins import JudgeError, judge_error, prompt_margins
from mopo_pipeline.mopo.pooling import choose_pooling
from mopo_pipeline.mopo.statistical import each_level
from mopo_pipeline.mopo.stochastic import StochasticRun, run_stochastic
from mopo_pipeline.mopo.tabular import TabularRun, run_tabular
from mopo_pipeline.mopo.tempering import effective_share, tempered, tempering_power

__all__ = [
    "Comparisons",
    "DualSolution",
    "Finding",
    "InfeasibleThresholdsError",
    "JudgeError",
    "Limits",
    "LowerBound",
    "NotConvergedError",
    "Signals",
    "StochasticRun",
    "TabularRun",
    "attainable_bounds",
    "attainable_range",
    "choose_pooling",
    "diagnose_plan",
    "diagnose_run",
    "each_level",
    "effective_share",
    "epsilon_for_confidence",
    "judge_error",
    "learned_values",
    "lower_bound",
    "prompt_margins",
    "rank_agreement",
    "run_stochastic",
    "run_tabular",
    "solve_dual",
    "tempered",
    "tempering_power",
]
