"""The reference that follows the policy, and the duals solved again each time it moves.

Offline, the lagged reference is nothing but one number per row: log pi(y|x) of the policy as it
was, taken when it passed and used one lag later. No copy of the model is kept, so adapters and
full weights are alike. Only rows that the steps until the next refresh may draw need that number:
each period trains on its part of the prompts.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.errors import (
    InfeasibleThresholdsError,
    NotConvergedError,
    TrainingStoppedError,
)
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.ratio import effective_share
from mopo_pipeline.mopo.rows import alike
from mopo_pipeline.mopo.schedule.margins import certificate_margins
from mopo_pipeline.mopo.schedule.state import LagState, divergence
from mopo_pipeline.mopo.schedule.unlabelled import priced, unlabelled
from mopo_pipeline.mopo.solution import DualSolution
from mopo_pipeline.mopo.solve import solve_dual
from mopo_pipeline.streams import Stream, generator


def period_rows(groups: NDArray[np.int64], rows: int, seed: int, period: int) -> NDArray[np.bool_]:
    """The rows of whole prompts that a period trains on; consecutive periods go round all prompts.

    Args:
        groups: (N,) prompt of each row, 0 to G-1.
        rows: how many, up to the size of the last prompt; all where N is no larger.
        seed: of the order of prompts.
        period: number of the refresh that opens it.

    Returns:
        (N,) mask, at least one prompt.

    >>> groups = np.array([0, 0, 1, 1, 2, 2])
    >>> [np.flatnonzero(period_rows(groups, 2, 0, period)).tolist() for period in range(4)]
    [[4, 5], [0, 1], [2, 3], [4, 5]]
    """
    if rows >= groups.size:
        return np.ones(groups.size, dtype=bool)
    counts = np.bincount(groups)
    order = generator(seed, Stream.PERIODS).permutation(counts.size)
    starts = np.cumsum(counts[order]) - counts[order]
    distance = (starts - period * rows) % groups.size
    chosen = np.zeros(counts.size, dtype=bool)
    chosen[order] = (distance < rows) | (distance == distance.min())
    return np.asarray(chosen[groups])


def lagged_mass(state: LagState, max_ratio: float) -> Array:
    """pi_lag / pi_ref0 of the active rows, (active,), clipped, mean 1."""
    gap = (state.lagged_logprob - state.initial_logprob)[state.active]
    ratio = np.minimum(np.exp(gap), max_ratio)
    return np.asarray(ratio / ratio.mean())


def refresh(
    state: LagState,
    problem: DualProblem,
    policy_logprob: Array,
    active: NDArray[np.bool_],
    *,
    max_ratio: float,
    beta: float | None,
    min_ess: float,
    max_multiplier: float,
    seen: Seen | None = None,
) -> LagState:
    """Move the reference to the policy of one lag ago and solve the duals on it.

    Args:
        state: before the refresh.
        problem: win rates and thresholds.
        policy_logprob: (N,) of the policy now; becomes the reference one lag from now. Only rows
            active then count.
        active: (N,) rows to train on until the next refresh.
        max_ratio: clip of pi_lag / pi_ref0.
        beta: thresholds become beta times the bounds of the last solve; None keeps the planned
            ones.
        min_ess: smallest effective share of rows to go on with.
        max_multiplier: largest multiplier to go on with.
        seen: the policy's values on validation prompts; None raises nothing.

    Raises:
        TrainingStoppedError: rows have lost their effective size, a multiplier runs away, or the
            thresholds cannot be met on the moved reference.
    """
    moved = replace(
        state,
        lagged_logprob=state.pending_logprob,
        pending_logprob=policy_logprob,
        active=active,
    )
    mass = lagged_mass(moved, max_ratio)
    ess = effective_share(mass)
    if ess < min_ess:
        raise TrainingStoppedError(
            f"the lagged reference leaves {ess:.1%} of the rows effective (limit {min_ess:.1%}): lengthen train.lag.every, "
            "raise plan.tau, or draw fresh responses with train.lag.mode=fresh"
        )
    thresholds = state.thresholds if beta is None else beta * state.bounds
    solved = _solve(moved, problem, thresholds, mass, seen, max_multiplier)
    _check_multipliers(problem.objectives, solved.multipliers, thresholds, max_multiplier)
    return replace(solved, ess=ess, refreshes=state.refreshes + 1)


def corrected(state: LagState, problem: DualProblem, seen: Seen, max_multiplier: float) -> LagState:
    """Solve the duals again, where the reference stands, for what validation labels say is missing.

    Args:
        state: before the correction.
        problem: win rates and thresholds.
        seen: the policy's values on validation prompts.
        max_multiplier: largest multiplier to raise thresholds to.

    Raises:
        TrainingStoppedError: the thresholds cannot be met on these rows.
    """
    mass = np.ones(len(state.weights))
    return _solve(state, problem, state.thresholds, mass, seen, max_multiplier)


def raised_by(before: Array, thresholds: Array, problem: DualProblem, seen: Seen) -> Array:
    """What thresholds are raised by, so that the policy is seen to hold them with room for a certificate.

    What is missing is added to what they were raised by before, so that a policy that falls short of
    its target again and again still arrives; a policy seen above what is asked lets them down again.

    Args:
        before: (K-1,) raised so far; empty means by nothing.
        thresholds: (K-1,) in force.
        problem: level, and the number of test prompts.
        seen: the policy's values on validation prompts.

    Returns:
        (K-1,) >= 0; as before where no label says anything, or those of fewer than two prompts alone, of which
        nobody can tell how much is chance.
    """
    before = before if before.size else np.zeros(len(thresholds))
    values = np.where(seen.prompts[1:] >= 2, seen.values[1:], np.nan)
    missing = thresholds + seen_margins(problem, seen) - values
    return np.asarray(np.maximum(before + np.nan_to_num(missing), 0.0))


def seen_margins(problem: DualProblem, seen: Seen) -> Array:
    """How far (K-1,) above its threshold a value must be seen: noise of validation prompts, half-width of the certificate."""
    prompts = np.nan_to_num(seen.prompts[1:])
    deviation = np.where(prompts >= 2, seen.deviation[1:], 0.0)
    noise = [
        float(certificate_margins(deviation[k : k + 1], int(count), problem.level)[0])
        for k, count in enumerate(prompts)
    ]
    allowance = certificate_margins(deviation, problem.test_prompts, problem.certificate_level)
    return np.asarray(np.array(noise) + allowance)


def _check_multipliers(
    objectives: tuple[str, ...], multipliers: Array, thresholds: Array, limit: float
) -> None:
    """Stop where one of the multipliers (K-1,) has passed the limit."""
    if multipliers.max(initial=0.0) <= limit:
        return
    worst = int(multipliers.argmax())
    raise TrainingStoppedError(
        f"the multiplier of {objectives[1 + worst]!r} reached {multipliers[worst]:.1f} "
        f"(limit {limit:g}): its threshold {thresholds[worst]:.3f} is at the edge of what the rows "
        "can reach; lower it or stop refreshing"
    )


def _raises(before: Array, raised: Array) -> Iterator[Array]:
    """What thresholds may be raised by, most first: all of it, half of what is new, what held before, half of that, nothing.

    Args:
        before: (K-1,) raised so far; empty means by nothing.
        raised: (K-1,) wanted now; none of the others is more.
    """
    held = np.minimum(before if before.size else 0.0, raised)
    if raised.any():
        yield from (raised, (held + raised) / 2, held, held / 2)
    yield np.zeros_like(raised)


def _solve(
    state: LagState,
    problem: DualProblem,
    thresholds: Array,
    mass: Array,
    seen: Seen | None,
    max_multiplier: float,
) -> LagState:
    """The duals with thresholds (K-1,) raised by what is missing, or by as much of it as the rows allow.

    Where no label of the rows speaks of an objective, its multiplier, bound and target stay what they were.
    """
    nothing = np.zeros(len(thresholds))
    wanted = nothing if seen is None else raised_by(state.raised, thresholds, problem, seen)
    rows = problem.restricted(state.active)
    kept = unlabelled(problem, rows)
    part, price = priced(rows, kept, state.multipliers)
    for raised in _raises(state.raised, wanted):
        try:
            solution = _solution(part, (thresholds + raised)[~kept], mass)
        except (InfeasibleThresholdsError, NotConvergedError) as error:
            failure = error
            continue
        multipliers = _merged(state.multipliers, kept, price * solution.multipliers)
        if raised.any() and multipliers.max() > max_multiplier:
            continue
        weights = np.zeros(state.active.size)
        weights[state.active] = mass * solution.ratio
        return replace(
            state,
            weights=weights / weights[state.active].mean(),
            multipliers=multipliers,
            thresholds=thresholds,
            bounds=_merged(state.bounds, kept, solution.bounds - raised[~kept]),
            targets=_merged(state.targets, kept, solution.values[1:]),
            margin_share=float(raised.sum() / wanted.sum()) if wanted.any() else 1.0,
            raised=raised,
            unlabelled=np.asarray(kept + (state.unlabelled if state.unlabelled.size else 0.0)),
            moves=np.array([divergence(weights[state.active], rows.groups)]),
        )
    raise TrainingStoppedError(
        f"the rows can no longer meet the thresholds ({failure}): lengthen train.lag.every, raise "
        "plan.tau, or draw fresh responses with train.lag.mode=fresh"
    ) from failure


def _merged(before: Array, kept: NDArray[np.bool_], found: Array) -> Array:
    """Numbers (K-1,): those of ``before`` where ``kept``, elsewhere those ``found``, in order."""
    merged = np.array(before if kept.any() else found, dtype=np.float64)
    merged[~kept] = found
    return merged


def _solution(problem: DualProblem, thresholds: Array, mass: Array) -> DualSolution:
    """The duals of thresholds (K-1,) on a reference of mass (N,) that moved from where the rows were drawn; prompts weigh alike."""
    even = alike(problem.groups)
    return solve_dual(
        problem.win_rates,
        thresholds,
        tau=problem.tau,
        reference=mass * even,
        behaviour=even,
        groups=problem.groups,
        epsilon=problem.epsilon,
        confidence=problem.confidence,
        comparisons=problem.comparisons,
        pooling=problem.pooling,
        variant=problem.variant,
    )
