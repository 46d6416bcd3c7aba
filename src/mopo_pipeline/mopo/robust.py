"""Thresholds that hold for lower bounds over rows: the robust maximiser, eq. (5).

The problem is ``max E[ratio s_0] - tau KL  s.t.  LB_k >= b_k`` with ``LB_k`` the bound (4) of
``f_i = ratio_i s_ik`` over the rows. Its maximiser satisfies, row by row,

    tau log ratio_i = s_0i + sum_k lambda_k v_ki s_ki - c_x,   v_ki = exp(-(ratio_i s_ki +
    d_k)/chi_k)

where v is the density of the worst-case weights. Iterating ratio -> v -> ratio diverges when
lambda s²/(tau chi) is large; but for given (lambda, d, chi) the left side minus the right side is
increasing in ratio_i, so each row and each prompt's c_x are solved exactly by Newton. What is left
is a smooth saddle in 3(K-1) numbers, concave in (d, chi) and convex in lambda: Newton inside
Newton.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import barrier
from mopo_pipeline.mopo.bound import LowerBound, bound_mean
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.mopo.newton import minimise
from mopo_pipeline.mopo.rows import Rows

if TYPE_CHECKING:
    from mopo_pipeline.mopo.dual import DualSolution

Array = NDArray[np.float64]

LEAST_CHI = 1e-6
"""Floor on chi: below it the bound is the least value, to this accuracy."""
HELD = 1e-7
"""Win rate by which a bound may miss its threshold and still count as met."""


@dataclass(frozen=True)
class _State:
    """The maximiser for one multiplier vector."""

    log_ratio: Array
    shift: Array
    offset: Array
    chi: Array


@dataclass(frozen=True)
class _Saddle:
    """The Lagrangian with rows and prompt normalisers eliminated."""

    rows: Rows
    primary: Array
    tau: float
    epsilon: Array

    @property
    def scores(self) -> Array:
        return self.rows.columns[1:]

    def initial(self) -> _State:
        """Reference policy, with the temperatures its bounds have."""
        n = len(self.rows.mass)
        size = len(self.epsilon)
        blank = _State(np.zeros(n), np.zeros(len(self.rows.starts)), np.zeros(size), np.ones(size))
        return self.refresh(blank)

    def bounds(self, log_ratio: Array) -> list[LowerBound]:
        ratio = np.exp(log_ratio)
        return [
            bound_mean(ratio * score, self.rows.mass, radius)
            for score, radius in zip(self.scores, self.epsilon, strict=True)
        ]

    def refresh(self, state: _State, only: NDArray[np.bool_] | None = None) -> _State:
        """Set (d, chi) to the exact bounds of the state's ratio."""
        ratio = np.exp(state.log_ratio)
        offset, chi = state.offset.copy(), state.chi.copy()
        for k, bound in enumerate(self.bounds(state.log_ratio)):
            if only is not None and not only[k]:
                continue
            chi[k] = max(bound.chi, LEAST_CHI)
            if np.isfinite(chi[k]):
                exponent = -ratio * self.scores[k] / chi[k]
                peak = exponent.max()
                log_mean = peak + np.log(self.rows.mass @ np.exp(exponent - peak))
                offset[k] = chi[k] * log_mean
        return replace(state, offset=offset, chi=chi)

    def density(self, state: _State) -> tuple[Array, Array]:
        """Worst-case density v and its exponent a, (K-1, n); v = 1 where the bound is the mean."""
        ratio = np.exp(state.log_ratio)
        finite = np.isfinite(state.chi)[:, None]
        chi = np.where(np.isfinite(state.chi), state.chi, 1.0)[:, None]
        exponent = np.where(finite, (ratio * self.scores + state.offset[:, None]) / chi, 0.0)
        return np.exp(np.clip(-exponent, -700, 60)), exponent

    def solve_rows(self, multipliers: Array, state: _State) -> _State:
        """Newton on every row and prompt normaliser together, at fixed (lambda, d, chi)."""
        rows, tau = self.rows, self.tau
        ceiling = rows.spread(np.log(rows.group_mass)) - np.log(rows.mass)
        theta, shift = np.minimum(state.log_ratio, ceiling), state.shift
        slope_scale = np.where(np.isfinite(state.chi), multipliers / state.chi, 0.0)
        for step in range(200):
            now = replace(state, log_ratio=theta, shift=shift)
            density, _ = self.density(now)
            ratio = np.exp(theta)
            weight = rows.mass * ratio
            pull = self.primary + multipliers @ (density * self.scores)
            if step == 0:
                shift = _group_mean(rows, weight, pull - tau * theta)
            residual = pull - tau * theta - rows.spread(shift)
            slope = tau + ratio * (slope_scale @ (density * self.scores**2))
            excess = np.add.reduceat(weight, rows.starts) - rows.group_mass
            change = (np.add.reduceat(weight * residual / slope, rows.starts) + excess) / (
                np.add.reduceat(weight / slope, rows.starts)
            )
            move = (residual - rows.spread(change)) / slope
            largest = float(np.abs(move * np.minimum(ratio, 1.0)).max())
            theta = np.minimum(theta + np.clip(move, -40.0, 2.0), ceiling)
            shift = shift + change
            if largest <= 1e-13 or (step > 30 and largest <= 1e-11):
                break
        return replace(state, log_ratio=theta, shift=shift)

    def derivatives(self, multipliers: Array, state: _State) -> tuple[float, Array, Array]:
        """Value, gradient and Hessian in (lambda, d, chi), rows and normalisers re-optimised.

        The gradient in (d, chi) is divided by nothing: it vanishes with lambda.
        """
        rows, mass = self.rows, self.rows.mass
        density, exponent = self.density(state)
        ratio = np.exp(state.log_ratio)
        finite = np.isfinite(state.chi)
        chi = np.where(finite, state.chi, 1.0)
        price = np.where(finite, multipliers, 0.0)
        total = density @ mass
        first = (density * exponent) @ mass
        second = (density * exponent**2) @ mass
        plain = (ratio * self.scores) @ mass
        robust = chi * (1 - total - self.epsilon) - state.offset
        value = float(mass @ (ratio * (self.primary - self.tau * state.log_ratio)))
        level = np.where(finite, robust, plain)
        gradient = np.concatenate(
            [level, price * (total - 1), price * (1 - self.epsilon - total - first)]
        )
        size = len(chi)
        explicit = np.zeros((3 * size, 3 * size))
        lam, off, temp = np.arange(size), size + np.arange(size), 2 * size + np.arange(size)
        explicit[lam, off] = explicit[off, lam] = np.where(finite, total - 1, 0.0)
        explicit[lam, temp] = explicit[temp, lam] = np.where(
            finite, 1 - self.epsilon - total - first, 0.0
        )
        explicit[off, off] = -price / chi * total
        explicit[off, temp] = explicit[temp, off] = price / chi * first
        explicit[temp, temp] = -price / chi * second
        pulls = density * self.scores
        scale = (price / chi)[:, None]
        forces = np.concatenate([pulls, -scale * pulls, scale * pulls * exponent])
        slope = self.tau + ratio * ((price / chi) @ (density * self.scores**2))
        response = mass * ratio / slope
        totals = np.add.reduceat(response, rows.starts)
        means = np.add.reduceat(forces * response, rows.starts, axis=1) / totals
        hessian = explicit + (forces * response) @ forces.T - (means * totals) @ means.T
        return value + float(multipliers @ level), gradient, hessian

    def maximise(self, multipliers: Array, state: _State) -> _State:
        """Best ratio and (d, chi) for given multipliers: Newton on (d, chi), rows solved each time."""
        priced = multipliers > 0
        state = self.refresh(self.solve_rows(multipliers, state))
        for _ in range(100):
            state = self.solve_rows(multipliers, state)
            chosen = priced & np.isfinite(state.chi) & (state.chi > LEAST_CHI)
            value, gradient, hessian = self.derivatives(multipliers, state)
            index = np.flatnonzero(np.concatenate([np.zeros_like(chosen), chosen, chosen]))
            force = gradient[index]
            price = np.tile(multipliers[chosen], 2)
            if index.size == 0 or np.abs(force / price).max() <= 1e-12:
                break
            block = -hessian[np.ix_(index, index)]
            step = np.asarray(np.linalg.lstsq(block, force, rcond=1e-15)[0], dtype=float)
            moved = self._ascend(multipliers, state, value, chosen, step, float(force @ step))
            if moved is None:
                refreshed = self.solve_rows(multipliers, self.refresh(state, chosen))
                if self.derivatives(multipliers, refreshed)[0] <= value + 1e-15:
                    break
                moved = refreshed
            state = moved
        return self.refresh(state, ~priced)

    def _ascend(
        self, multipliers: Array, state: _State, value: float, chosen: NDArray[np.bool_],
        step: Array, slope: float,
    ) -> _State | None:  # fmt: skip
        """Backtrack along the Newton step; None where it brings nothing."""
        half = int(chosen.sum())
        length = 1.0
        for _ in range(30):
            offset, chi = state.offset.copy(), state.chi.copy()
            offset[chosen] += length * step[:half]
            chi[chosen] += length * step[half:]
            inside = (chi > 0.1 * state.chi) & (chi < 10 * state.chi) & (chi >= LEAST_CHI)
            if inside[chosen].all():
                trial = self.solve_rows(multipliers, replace(state, offset=offset, chi=chi))
                gained = self.derivatives(multipliers, trial)[0] - value
                if gained >= 1e-4 * length * slope - 1e-15:
                    return trial
            length *= 0.5
        return None


def _group_mean(rows: Rows, weight: Array, values: Array) -> Array:
    """Weighted mean within each prompt, (G,)."""
    total = np.add.reduceat(weight, rows.starts)
    return np.asarray(np.add.reduceat(weight * values, rows.starts) / np.maximum(total, 1e-300))


def _solve_saddle(
    saddle: _Saddle, thresholds: Array, start: Array, floor: float, logarithmic: bool,
    softness: float = 0.0,
) -> tuple[Array, _State, bool]:  # fmt: skip
    """Minimise over the multipliers; ``softness`` times lambda²/2 makes it bounded always."""
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
    rows: Rows, thresholds: Array, tau: float, pooling: float, epsilon: Array, logarithmic: bool
) -> "DualSolution":
    """Row-robust optimum with its duality gap.

    Raises:
        InfeasibleThresholdsError: no policy's bounds reach the thresholds.
        InputError: finite pooling above 0, for which a row's worst case is not defined.
    """
    from mopo_pipeline.mopo.dual import lowest_objective

    if pooling > 0:
        raise InputError(
            f"a bound over rows needs pooling 0 or inf, got {pooling:g}; or pass comparisons"
        )
    saddle = _Saddle(rows, rows.columns[0], tau, epsilon)
    start = np.full(thresholds.size, barrier.START if logarithmic else 0.0)
    floor = lowest_objective(rows, tau, pooling) - 1.0
    point, state, unbounded = _solve_saddle(saddle, thresholds, start, floor, logarithmic)
    bounds = saddle.bounds(state.log_ratio)
    levels = np.array([bound.value for bound in bounds])
    if unbounded or (levels < thresholds - HELD).any():
        attainable = np.array(
            [greatest_bound(rows, k + 1, radius) for k, radius in enumerate(epsilon)]
        )
        relaxed = _nearest(saddle, thresholds)
        if unbounded or (relaxed < thresholds - HELD).any():
            raise InfeasibleThresholdsError(thresholds, np.maximum(attainable, relaxed), relaxed)
        raise NotConvergedError(
            f"the robust dual did not converge: bounds {levels} against thresholds {thresholds}; "
            "raise tau or lower epsilon"
        )
    return _describe(saddle, point, state, bounds, thresholds, logarithmic)


def _describe(
    saddle: _Saddle, multipliers: Array, state: _State, bounds: list[LowerBound],
    thresholds: Array, logarithmic: bool,
) -> "DualSolution":  # fmt: skip
    from mopo_pipeline.mopo.dual import (
        DualSolution,
        effective_share,
        kl_from_reference,
        statuses,
    )

    rows, tau = saddle.rows, saddle.tau
    ratio = np.exp(state.log_ratio)
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
        ess=effective_share(rows, ratio),
        status=statuses(multipliers, levels - thresholds),
        kl=kl,
        dual_value=dual,
    )


def greatest_bound(rows: Rows, objective: int, epsilon: float) -> float:
    """Greatest bound any policy has in one objective: the KL penalty taken to almost nothing."""
    chosen = replace(rows, columns=rows.columns[[0, objective]])
    best = -np.inf
    state = None
    for tau in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        saddle = _Saddle(chosen, np.zeros(len(rows.mass)), tau, np.array([epsilon]))
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
    return bound_mean(ratio * score, rows.mass, epsilon).value


def _nearest(saddle: _Saddle, thresholds: Array) -> Array:
    """Nearest thresholds whose bounds a policy reaches: a quadratic price on falling short.

    The policy found meets them, so they are attained by construction.
    """
    point = np.zeros(thresholds.size)
    reached = thresholds
    for softness in (1e-1, 1e-2, 1e-3, 1e-4):
        point, state, _ = _solve_saddle(saddle, thresholds, point, -np.inf, False, softness)
        levels = np.array([bound.value for bound in saddle.bounds(state.log_ratio)])
        reached = np.minimum(levels, thresholds)
    return reached - HELD
