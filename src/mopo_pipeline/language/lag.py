"""The reference that follows the policy, and the duals solved again each time it moves.

Offline, the lagged reference is nothing but one number per row: log pi(y|x) of the policy as it
was, taken when it passed and used one lag later. No copy of the model is kept, so adapters and
full weights are alike.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import MopoError
from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    effective_share,
    solve_dual,
)

Array = NDArray[np.float64]


class TrainingStoppedError(MopoError, RuntimeError):
    """Training stopped early because going on could not help; the last checkpoint is kept."""


@dataclass(frozen=True)
class DualProblem:
    """What a refresh solves again.

    Attributes:
        objectives: K names, the primary first.
        win_rates: (N, K) of the training rows.
        groups: (N,) prompt of each row.
        thresholds: (K-1,) as planned.
        tau, epsilon, pooling, variant: as planned.
        comparisons: of the training rows, for the robust bound.
        multipliers, bounds: (K-1,) of the plan.
        margins: (K-1,) planned value less its bound, what label noise costs.
        confidence: of the plan, one-sided; .5 where a fixed epsilon replaced it.
    """

    objectives: tuple[str, ...]
    win_rates: Array
    groups: NDArray[np.int64]
    thresholds: Array
    tau: float
    epsilon: float
    pooling: float
    variant: str
    comparisons: Comparisons | None
    multipliers: Array
    bounds: Array
    margins: Array
    confidence: float = 0.5


@dataclass(frozen=True)
class LagState:
    """Everything beyond the model that decides the next step; saved with every checkpoint.

    Attributes:
        weights: (N,) row weights, mean 1.
        initial_logprob: (N,) log pi_ref0(y|x).
        lagged_logprob: (N,) of the current reference.
        pending_logprob: (N,) of the policy at the last refresh, the reference after the next.
        multipliers: (K-1,).
        thresholds: (K-1,) in force.
        bounds: (K-1,) reached at the last solve.
        ess: effective share of rows left by the lagged reference's mass, 0 to 1.
        support: share of fresh responses like the data's own, 0 to 1; 1 offline.
        refreshes: how often the reference moved.
    """

    weights: Array
    initial_logprob: Array
    lagged_logprob: Array
    pending_logprob: Array
    multipliers: Array
    thresholds: Array
    bounds: Array
    ess: float = 1.0
    support: float = 1.0
    refreshes: int = 0

    def arrays(self) -> dict[str, Array]:
        """All fields as float64 arrays, for safetensors."""
        return {
            name: np.atleast_1d(np.asarray(value, dtype=np.float64))
            for name, value in vars(self).items()
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> "LagState":
        """Rebuild from ``arrays``."""
        fields: dict[str, Any] = dict(arrays)
        fields |= {name: float(arrays[name][0]) for name in ("ess", "support")}
        fields["refreshes"] = int(arrays["refreshes"][0])
        return cls(**fields)


def lagged_mass(state: LagState, max_ratio: float) -> Array:
    """pi_lag / pi_ref0 per row, clipped, mean 1."""
    ratio = np.minimum(np.exp(state.lagged_logprob - state.initial_logprob), max_ratio)
    return np.asarray(ratio / ratio.mean())


def refresh(
    state: LagState,
    problem: DualProblem,
    policy_logprob: Array,
    *,
    max_ratio: float,
    beta: float | None,
    min_ess: float,
    max_multiplier: float,
) -> LagState:
    """Move the reference to the policy of one lag ago and solve the duals on it.

    Args:
        state: before the refresh.
        problem: win rates and thresholds.
        policy_logprob: (N,) of the policy now; becomes the reference one lag from now.
        max_ratio: clip of pi_lag / pi_ref0.
        beta: thresholds become beta times the bounds of the last solve; None keeps the planned
            ones.
        min_ess: smallest effective share of rows to go on with.
        max_multiplier: largest multiplier to go on with.

    Raises:
        TrainingStoppedError: rows have lost their effective size, a multiplier runs away, or the
            thresholds cannot be met on the moved reference.
    """
    moved = replace(state, lagged_logprob=state.pending_logprob, pending_logprob=policy_logprob)
    mass = lagged_mass(moved, max_ratio)
    ess = effective_share(mass)
    if ess < min_ess:
        raise TrainingStoppedError(
            f"the lagged reference leaves {ess:.1%} of the rows effective (limit {min_ess:.1%}): lengthen train.lag.every, "
            "raise plan.tau, or draw fresh responses with train.lag.on_policy"
        )
    thresholds = state.thresholds if beta is None else beta * state.bounds
    solution = _solve(problem, thresholds, mass)
    if solution.multipliers.max(initial=0.0) > max_multiplier:
        worst = int(solution.multipliers.argmax())
        raise TrainingStoppedError(
            f"the multiplier of {problem.objectives[1 + worst]!r} reached {solution.multipliers[worst]:.1f} "
            f"(limit {max_multiplier:g}): its threshold {thresholds[worst]:.3f} is at the edge of what the rows "
            "can reach; lower it or stop refreshing"
        )
    weights = mass * solution.ratio
    return replace(
        moved,
        weights=weights / weights.mean(),
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.bounds,
        ess=ess,
        refreshes=state.refreshes + 1,
    )


def _solve(problem: DualProblem, thresholds: Array, mass: Array) -> Any:
    try:
        return solve_dual(
            problem.win_rates,
            thresholds,
            tau=problem.tau,
            reference=mass,
            groups=problem.groups,
            epsilon=problem.epsilon,
            comparisons=problem.comparisons,
            pooling=problem.pooling,
            variant=problem.variant,
        )
    except InfeasibleThresholdsError as error:
        raise TrainingStoppedError(
            f"on the lagged reference the thresholds can no longer be met ({error}): lengthen train.lag.every, raise "
            "plan.tau, or draw fresh responses with train.lag.on_policy"
        ) from error
