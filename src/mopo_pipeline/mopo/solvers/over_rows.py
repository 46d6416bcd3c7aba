"""Thresholds that hold for lower bounds over rows: the robust maximiser, eq. (5).

The problem is ``max E[ratio s_0] - tau KL  s.t.  LB_k >= b_k`` with ``LB_k`` the bound (4) of
``f_i = ratio_i s_ik`` over the rows: Newton on the multipliers, outside the saddle's own Newton.
"""

from dataclasses import replace

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.bound import bound_mean, bounded
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.ratio import effective_share
from mopo_pipeline.mopo.rows import Rows
from mopo_pipeline.mopo.solution import (
    CERTIFIED,
    MET,
    DualSolution,
    kl_from_reference,
    lowest_objective,
    statuses,
)
from mopo_pipeline.mopo.solvers import barrier
from mopo_pipeline.mopo.solvers.newton import minimise
from mopo_pipeline.mopo.solvers.saddle import Saddle, State

SMOOTH = 0.05
"""Temperature from which Newton finds the optimum without a path that leads to it."""


def _solve_saddle(
    saddle: Saddle,
    thresholds: Array,
    start: Array,
    floor: float,
    logarithmic: bool,
    softness: float = 0.0,
) -> tuple[Array, State, bool]:
    """Minimise over the multipliers (K-1,); ``softness`` times lambda²/2 makes it bounded always."""
    latest = [saddle.initial()]

    def oracle(point: Array) -> tuple[float, Array, Array]:
        state = saddle.maximise(point, latest[0])
        latest[0] = state
        value, gradient, hessian = saddle.derivatives(point, state)
        size = point.size
        levels = np.array([bound.value for bound in saddle.bounds(state.log_ratio)])
        inner = np.flatnonzero(np.tile((point > 0) & np.isfinite(state.chi), 2)) + size
        cross = hessian[:size][:, inner]
        schur = hessian[:size, :size]
        if inner.size:
            schur = (
                schur
                - cross @ np.linalg.lstsq(hessian[np.ix_(inner, inner)], cross.T, rcond=1e-15)[0]
            )
        value -= float(point @ thresholds)
        gradient = levels - thresholds
        if softness:
            value += 0.5 * softness * float(point @ point)
            gradient, schur = gradient + softness * point, schur + softness * np.eye(size)
        if logarithmic:
            return barrier.add(point, value, gradient, schur)
        return value, gradient, schur

    found = minimise(oracle, start, floor=floor, tolerance=1e-9, max_steps=100)
    return found.point, saddle.maximise(found.point, latest[0]), found.unbounded


def solve_over_rows(
    rows: Rows, thresholds: Array, tau: float, epsilon: Array, logarithmic: bool
) -> DualSolution:
    """Row-robust optimum at thresholds (K-1,) and radii (K-1,), with its duality gap.

    Raises:
        InfeasibleThresholdsError: no policy's bounds reach the thresholds.
    """
    start = np.full(thresholds.size, barrier.START if logarithmic else 0.0)
    floor = lowest_objective(rows, tau) - 1.0
    unbounded = False
    for path in ((tau,), _cooling(tau)):
        point = start
        for temperature in path:
            saddle = Saddle(rows, rows.columns[0], temperature, epsilon)
            point, state, unbounded = _solve_saddle(saddle, thresholds, point, floor, logarithmic)
            if unbounded:
                break
        if unbounded:
            continue
        found = _describe(saddle, point, state, thresholds, logarithmic)
        certified = abs(found.duality_gap) <= CERTIFIED
        if certified and (found.bounds >= thresholds - MET).all():
            return found
    feasibility = Saddle(rows, rows.columns[0], max(tau, SMOOTH), epsilon)
    relaxed, shrinking = _nearest(feasibility, thresholds)
    if unbounded or not shrinking:
        attainable = np.array(
            [greatest_bound(rows, k + 1, radius) for k, radius in enumerate(epsilon)]
        )
        raise InfeasibleThresholdsError(thresholds, np.maximum(attainable, relaxed), relaxed)
    if logarithmic and certified:
        return found
    raise NotConvergedError(
        f"the robust dual did not converge: bounds {found.bounds} against thresholds {thresholds}, "
        f"duality gap {found.duality_gap:.1e}; raise tau or lower epsilon"
    )


def _cooling(tau: float) -> tuple[float, ...]:
    """Temperatures that fall to ``tau``, each the start of the next."""
    path = [tau]
    while path[-1] < SMOOTH:
        path.append(2.0 * path[-1])
    return tuple(reversed(path))


def _describe(
    saddle: Saddle, multipliers: Array, state: State, thresholds: Array, logarithmic: bool
) -> DualSolution:
    """The solution at multipliers and thresholds (K-1,), with its duality gap."""
    rows, tau = saddle.rows, saddle.tau
    ratio = np.exp(state.log_ratio)
    bounds = [
        bound_mean(ratio * score, rows.mass, radius)
        for score, radius in zip(saddle.scores, saddle.epsilon, strict=True)
    ]
    levels = np.array([bound.value for bound in bounds])
    density = np.array([bound.weights / rows.mass for bound in bounds]).reshape(-1, len(ratio))
    exponent = (saddle.primary + multipliers @ (density * saddle.scores)) / tau
    peak = np.maximum.reduceat(exponent, rows.starts)
    part = rows.mass * np.exp(exponent - rows.spread(peak))
    log_z = np.log(np.add.reduceat(part, rows.starts) / rows.group_mass) + peak
    dual = tau * float(rows.group_mass @ log_z) - float(multipliers @ thresholds)
    kl = kl_from_reference(rows, ratio)
    gap = dual - (float(rows.mass @ (ratio * saddle.primary)) - tau * kl)
    if logarithmic:
        gap += barrier.conjugate(multipliers) - barrier.utility(levels - thresholds)
    return DualSolution(
        multipliers=multipliers,
        ratio=rows.restore(ratio),
        values=rows.columns @ (rows.mass * ratio),
        bounds=levels,
        chi=np.array([bound.chi for bound in bounds]),
        duality_gap=gap,
        ess=effective_share(ratio, rows.mass),
        status=statuses(multipliers, levels - thresholds),
        kl=kl,
        epsilon=saddle.epsilon,
        effective_comparisons=np.full(levels.size, np.nan),
        effective_if_alike=np.full(levels.size, np.nan),
        pooling=0.0,
        row_values=rows.columns @ (rows.mass * ratio),
    )


def greatest_bound(rows: Rows, objective: int, epsilon: float) -> float:
    """Greatest bound any policy has in one objective: the KL penalty taken to almost nothing."""
    chosen = replace(rows, columns=rows.columns[[0, objective]])
    best = -np.inf
    state = None
    for tau in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        saddle = Saddle(chosen, np.zeros(len(rows.mass)), tau, np.array([epsilon]))
        state = saddle.maximise(np.ones(1), saddle.initial() if state is None else state)
        best = max(best, saddle.bounds(state.log_ratio)[0].value)
    return best


def worst_bound(rows: Rows, objective: int, epsilon: float) -> float:
    """Bound of the policy that plays each prompt's worst response in one objective."""
    score = rows.columns[objective]
    lowest = np.minimum.reduceat(score, rows.starts)
    chosen = score == rows.spread(lowest)
    share = np.add.reduceat(rows.mass * chosen, rows.starts)
    ratio = np.where(chosen, rows.spread(rows.group_mass / share), 0.0)
    return bounded(ratio * score, rows.mass, epsilon).value


def _nearest(saddle: Saddle, thresholds: Array) -> tuple[Array, bool]:
    """Nearest thresholds whose bounds a policy reaches: a quadratic price on falling short.

    Returns:
        (K-1,) thresholds the policy found meets, so they are attained by construction; and whether
        the shortfall vanishes with the price, as it does where the asked ones can be met.
    """
    point = np.zeros(thresholds.size)
    shortfalls = []
    for softness in (1e-1, 1e-2, 1e-3, 1e-4):
        point, state, _ = _solve_saddle(saddle, thresholds, point, -np.inf, False, softness)
        levels = np.array([bound.value for bound in saddle.bounds(state.log_ratio)])
        reached = np.minimum(levels, thresholds)
        shortfalls.append(float(np.linalg.norm(thresholds - reached)))
    return reached - MET, shortfalls[-1] < 0.5 * shortfalls[-2]
