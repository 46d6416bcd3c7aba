"""``solve_dual``: the constrained problem (1) solved exactly, before anything is trained."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.bound import LowerBound
from mopo_pipeline.mopo.feasibility import InfeasibleThresholdsError, check_feasible, value_range
from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.newton import DualConvergenceError, minimise_dual
from mopo_pipeline.mopo.robust import (
    comparison_bounds,
    row_bounds,
    solve_comparison_robust,
    solve_row_robust,
)
from mopo_pipeline.mopo.solution import CheckedComparisons, Comparisons, DualSolution
from mopo_pipeline.mopo.tilt import Tilt
from mopo_pipeline.mopo.validation import (
    Array,
    group_array,
    non_negative,
    one_of,
    positive,
    reference_array,
    threshold_array,
    win_rate_array,
)

VARIANTS = ("lagrangian", "log_barrier")
BARRIER_WEIGHT = 1e-3
"""sigma of the log-barrier variant: its slack is sigma / multiplier."""

_ACTIVE = 1e-9
_RELAXATION_STEPS = 14

Solved = tuple[Array, Tilt, list[LowerBound], float]


def solve_dual(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    epsilon: float = 0.0,
    comparisons: Comparisons | None = None,
    pooling: float = 0.0,
    variant: str = "lagrangian",
) -> DualSolution:
    """Maximise the primary under thresholds on the others, in closed form.

    Args:
        win_rates: (N, K) in [0, 1], column 0 the primary.
        thresholds: (K-1,) on the values of columns 1..K-1.
        tau: KL temperature > 0.
        reference: (N,) mass >= 0, uniform if None; a prompt weighs as much as its rows' mass.
        groups: (N,) integer prompt ids; one group if None.
        epsilon: radius >= 0 of the robust bound (4), in nats.
        comparisons: labelled pairs the bound is taken over; without them it is taken over rows.
        pooling: kappa >= 0 pseudo-responses of the pooled normaliser per prompt; 0 exact per prompt, inf
            one pool.
        variant: ``lagrangian``, or ``log_barrier``, which keeps a slack of sigma / multiplier.

    Returns:
        The solution; ``duality_gap`` certifies it.

    Raises:
        InfeasibleThresholdsError: the thresholds are out of reach, alone or together.
        InputError: an argument of the wrong shape or range; the message prints what was received.

    Source: ``method.md`` equations (1) to (5).

    >>> solution = solve_dual([[0.9, 0.2], [0.1, 0.8]], [0.5], tau=0.1)
    >>> solution.values.round(6).tolist(), solution.status
    ([0.5, 0.5], ('active',))
    """
    scores = win_rate_array(win_rates)
    n_rows, n_objectives = scores.shape
    wanted = threshold_array(thresholds, n_objectives)
    tau = positive(tau, "tau")
    epsilon = non_negative(epsilon, "epsilon")
    pooling = non_negative(pooling, "pooling", finite=False)
    barrier = BARRIER_WEIGHT if one_of(variant, VARIANTS, "variant") == "log_barrier" else 0.0
    problem = Problem.build(
        scores, reference_array(reference, n_rows), group_array(groups, n_rows), pooling
    )
    if n_objectives == 1:
        return _solution(problem, minimise_dual(problem, wanted, tau) + ([], 0.0), wanted)
    if comparisons is not None:
        checked = CheckedComparisons.build(comparisons, n_rows, n_objectives)

        def solve(at: Array) -> Solved:
            return solve_comparison_robust(problem, at, tau, epsilon, checked, barrier)

        at_reference = comparison_bounds(problem, np.ones_like(problem.mass), checked, epsilon)
    elif epsilon > 0:
        if pooling > 0 and not np.isinf(pooling):
            raise InputError("the row-robust bound needs pooling 0 or inf; give comparisons to shrink")

        def solve(at: Array) -> Solved:
            return solve_row_robust(problem, at, tau, epsilon, barrier)

        at_reference = row_bounds(problem, np.ones_like(problem.mass), epsilon)
    else:

        def solve(at: Array) -> Solved:
            return _solve_plain(problem, at, tau, barrier)

        at_reference = []
    feasibility = check_feasible(_support(problem), wanted)
    if feasibility.violation > 0 and not at_reference:
        raise InfeasibleThresholdsError(wanted, _alone(problem), feasibility.relaxed)
    try:
        return _solution(problem, solve(wanted), wanted)
    except DualConvergenceError as error:
        if not at_reference:
            raise
        sure = np.minimum(wanted, np.array([bound.value for bound in at_reference]))
        attainable = np.array(
            [_highest(solve, sure, _lift(sure, k, high))[k] for k, high in enumerate(_alone(problem))]
        )
        raise InfeasibleThresholdsError(wanted, attainable, _highest(solve, sure, wanted)) from error


def _solve_plain(problem: Problem, thresholds: Array, tau: float, barrier: float) -> Solved:
    multipliers, policy = minimise_dual(problem, thresholds, tau, barrier=barrier)
    values = policy.values[1:]
    bounds = [LowerBound(float(value), np.inf, problem.mass) for value in values]
    dual = policy.dual - float(multipliers @ thresholds)
    gap = dual - (float(policy.values[0]) - tau * policy.kl)
    if barrier > 0:
        gap -= barrier * thresholds.size
    return multipliers, policy, bounds, gap


def _support(problem: Problem) -> Problem:
    """Rows a prompt's policy may use: its own, or all of them once a pool is lent."""
    if problem.pooling == 0.0:
        return problem
    return Problem.build(problem.scores, problem.mass, np.zeros(problem.mass.size, dtype=np.intp), 0.0)


def _alone(problem: Problem) -> Array:
    support = _support(problem)
    return np.array([value_range(support, k)[1] for k in range(1, problem.scores.shape[1])])


def _lift(base: Array, k: int, high: float) -> Array:
    lifted = base.copy()
    lifted[k] = max(high, base[k])
    return lifted


def _highest(solve: Callable[[Array], Solved], sure: Array, wanted: Array) -> Array:
    """Last thresholds on the segment from ``sure`` to ``wanted`` that the solver meets."""
    low, high = 0.0, 1.0
    for _ in range(_RELAXATION_STEPS):
        middle = 0.5 * (low + high)
        at = sure + middle * (wanted - sure)
        try:
            solve(at)
            low = middle
        except DualConvergenceError:
            high = middle
    return sure + low * (wanted - sure)


def _solution(problem: Problem, solved: Solved, thresholds: Array) -> DualSolution:
    multipliers, policy, bounds, gap = solved
    joint = policy.ratio * problem.mass
    values = joint @ problem.scores
    return DualSolution(
        multipliers=multipliers,
        ratio=problem.to_caller(policy.ratio),
        values=values,
        bounds=np.array([bound.value for bound in bounds]),
        chi=np.array([bound.chi for bound in bounds]),
        duality_gap=float(gap),
        ess=float(1.0 / (joint @ joint)),
        kl=policy.kl,
        status=tuple("active" if m > _ACTIVE else "inactive" for m in multipliers),
    )
