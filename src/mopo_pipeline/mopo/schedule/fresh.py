"""The duals on fresh responses of the policy: thresholds with margins, weights tempered."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.errors import (
    InfeasibleThresholdsError,
    NotConvergedError,
    TrainingStoppedError,
)
from mopo_pipeline.mopo.learned import learned_values
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.margins import (
    JudgeError,
    certificate_margins,
    prompt_deviation,
    prompt_margins,
)
from mopo_pipeline.mopo.schedule.state import LagState, divergence
from mopo_pipeline.mopo.schedule.tempering import tempered, tempering_power
from mopo_pipeline.mopo.solution import DualSolution
from mopo_pipeline.mopo.solve import solve_dual


def threshold_margins(
    targets: Array,
    win_rates: Array,
    groups: NDArray[np.int64],
    error: JudgeError,
    problem: DualProblem,
) -> Array:
    """What thresholds are raised by, so that a policy trained on judged fresh rows truly holds them.

    The dual holds judged values of a target on training prompts; the user asked for true values of
    the policy on all prompts, and for a certificate on those of the test split. Between them lie the
    judge's bias, what the policy falls short of its target, at the loop's confidence the noise of
    both, and the half-width of the certificate.

    Args:
        targets: (K-1,) judged values aimed at by the last refresh.
        win_rates: (n, K-1) judged, of what the policy says now: to validation prompts where there are any.
        groups: (n,) prompt of each.
        error: of the judge.
        problem: levels, and the test prompts that the certificate will rest on.
    """
    shortfall = np.maximum(targets - win_rates.mean(axis=0), 0.0)
    return np.asarray(error.bias + shortfall + judged_margins(win_rates, groups, error, problem))


def judged_margins(
    win_rates: Array, groups: NDArray[np.int64], error: JudgeError, problem: DualProblem
) -> Array:
    """How far (K-1,) above its threshold a judged value without its bias must lie; arguments as in ``threshold_margins``."""
    varied = prompt_margins(win_rates, groups, problem.level)
    allowance = certificate_margins(
        prompt_deviation(win_rates, groups), problem.test_prompts, problem.certificate_level
    )
    return np.asarray(np.hypot(error.noise, varied) + allowance)


def solve_fresh(
    state: LagState,
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    margins: Array,
    *,
    beta: float | None,
    target_ess: float,
    max_multiplier: float,
) -> LagState:
    """Multipliers and weights of fresh rows.

    The weights are tempered until ``target_ess`` of the rows is effective.

    Args:
        state: before the refresh.
        problem: thresholds and temperature.
        win_rates: (n, K) of the fresh rows.
        groups: (n,) prompt of each.
        margins: (K-1,) the thresholds are raised by.
        beta: thresholds become beta times the bounds of the last solve; None keeps the planned ones.
        target_ess: effective share of rows to keep, in [0, 1).
        max_multiplier: largest multiplier to keep margins at.

    Raises:
        TrainingStoppedError: the thresholds themselves are out of reach of the fresh rows.
    """
    thresholds = state.thresholds if beta is None else beta * state.bounds
    solution, kept = _solve(problem, win_rates, groups, thresholds, margins, max_multiplier)
    weights = tempered(solution.ratio, target_ess)
    return replace(
        state,
        weights=weights,
        active=np.ones(len(win_rates), dtype=bool),
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.values[1:] - margins,
        margin_share=kept,
        targets=stepped_values(
            solution.ratio, target_ess, solution.multipliers, problem.tau, win_rates, groups
        ),
        ess=1.0,
        refreshes=state.refreshes + 1,
        moves=np.append(state.moves, divergence(weights, groups)),
    )


def stepped_values(
    ratio: Array,
    target_ess: float,
    multipliers: Array,
    tau: float,
    win_rates: Array,
    groups: NDArray[np.int64],
    judged: Array | None = None,
) -> Array:
    """Win rates (K-1,) of the policy that weights tempered to ``target_ess`` teach.

    Args:
        ratio: (N,) weights of the rows.
        target_ess: effective share of rows to keep, in [0, 1).
        multipliers: (K-1,) that made the weights.
        tau: temperature.
        win_rates: (N, K) that made the weights.
        groups: (N,) prompt of each row.
        judged: (N, K) that say what the policy is worth; None takes ``win_rates``.
    """
    power = tempering_power(ratio, target_ess)
    exponent = power * (win_rates @ np.append(1.0, multipliers)) / tau
    return learned_values(exponent, win_rates if judged is None else judged, groups)[1:]


def _solve(
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    thresholds: Array,
    margins: Array,
    max_multiplier: float,
) -> tuple[DualSolution, float]:
    """The duals with thresholds (K-1,) raised by margins (K-1,), by half of them or not at all, as these rows allow.

    Returns:
        The solution and the share of the margins kept.
    """
    for share in (1.0, 0.5, 0.0):
        try:
            solution = solve_dual(
                win_rates,
                thresholds + share * margins,
                tau=problem.tau,
                groups=groups,
                pooling=None,
                variant=problem.variant,
            )
        except (InfeasibleThresholdsError, NotConvergedError) as error:
            failure = error
            continue
        if share and solution.multipliers.max(initial=0.0) > max_multiplier:
            continue
        return solution, share
    raise TrainingStoppedError(
        f"fresh responses of the policy can no longer meet the thresholds: {failure}"
    ) from failure
