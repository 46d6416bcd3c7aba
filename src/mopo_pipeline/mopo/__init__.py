"""The method, exact and pure: importance ratios, duals, bounds, certificates (docs/method.md)."""

from mopo_pipeline.mopo.attainable import (
    attainable_bounds,
    attainable_range,
    bounds_at_any_distance,
)
from mopo_pipeline.mopo.bound import LowerBound, epsilon_for_confidence, lower_bound
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.confidence import each_level, fewest_units
from mopo_pipeline.mopo.diagnosis.agreement import rank_agreement
from mopo_pipeline.mopo.diagnosis.findings import Finding, Limits
from mopo_pipeline.mopo.diagnosis.plan import diagnose_plan
from mopo_pipeline.mopo.diagnosis.run import Signals, diagnose_run
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.learned import learned_values
from mopo_pipeline.mopo.pooling import choose_pooling
from mopo_pipeline.mopo.ratio import effective_share
from mopo_pipeline.mopo.schedule.algorithm_1 import StochasticRun, run_stochastic
from mopo_pipeline.mopo.schedule.margins import JudgeError, judge_error, prompt_margins
from mopo_pipeline.mopo.schedule.tabular import TabularRun, run_tabular
from mopo_pipeline.mopo.schedule.tempering import tempered, tempering_power
from mopo_pipeline.mopo.solution import DualSolution
from mopo_pipeline.mopo.solve import solve_dual
from mopo_pipeline.mopo.together import knee, lowered_alone, raised_alone, without_thresholds

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
    "bounds_at_any_distance",
    "choose_pooling",
    "diagnose_plan",
    "diagnose_run",
    "each_level",
    "effective_share",
    "epsilon_for_confidence",
    "fewest_units",
    "judge_error",
    "knee",
    "learned_values",
    "lower_bound",
    "lowered_alone",
    "prompt_margins",
    "raised_alone",
    "rank_agreement",
    "run_stochastic",
    "run_tabular",
    "solve_dual",
    "tempered",
    "tempering_power",
    "without_thresholds",
]
