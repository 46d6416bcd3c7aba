"""The Lagrangian of the row-robust problem with rows and prompt normalisers eliminated (eq. 5).

The maximiser satisfies, row by row,

    tau log ratio_i = s_0i + sum_k lambda_k v_ki s_ki - c_x,   v_ki = exp(-(ratio_i s_ki +
    d_k)/chi_k)

where v is the density of the worst-case weights. Iterating ratio -> v -> ratio diverges when
lambda s²/(tau chi) is large; but for given (lambda, d, chi) the left side minus the right side is
increasing in ratio_i, so each row and each prompt's c_x are solved exactly by Newton. What is left
is a smooth saddle in 3(K-1) numbers, concave in (d, chi) and convex in lambda.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.bound import Bounded, bounded
from mopo_pipeline.mopo.rows import Rows

LEAST_CHI = 1e-6
"""Floor on chi: below it the bound is the least value, to this accuracy."""


@dataclass(frozen=True)
class State:
    """The maximiser for one multiplier vector: log ratio (n,), c_x (G,), d and chi (K-1,)."""

    log_ratio: Array
    shift: Array
    offset: Array
    chi: Array


@dataclass(frozen=True)
class Saddle:
    """The Lagrangian with rows and prompt normalisers eliminated."""

    rows: Rows
    primary: Array
    tau: float
    epsilon: Array

    @property
    def scores(self) -> Array:
        """Win rates of the constrained objectives, (K-1, n)."""
        return self.rows.columns[1:]

    def initial(self) -> State:
        """Reference policy, with the temperatures its bounds have."""
        n = len(self.rows.mass)
        size = len(self.epsilon)
        blank = State(np.zeros(n), np.zeros(len(self.rows.starts)), np.zeros(size), np.ones(size))
        return self.at_exact_bounds(blank)

    def bounds(self, log_ratio: Array) -> list[Bounded]:
        """Exact lower bound of each constrained objective at a log ratio (n,)."""
        ratio = np.exp(log_ratio)
        return [
            bounded(ratio * score, self.rows.mass, radius)
            for score, radius in zip(self.scores, self.epsilon, strict=True)
        ]

    def at_exact_bounds(self, state: State, only: NDArray[np.bool_] | None = None) -> State:
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

    def density(self, state: State) -> tuple[Array, Array]:
        """Worst-case density v and its exponent a, (K-1, n); v = 1 where the bound is the mean."""
        ratio = np.exp(state.log_ratio)
        finite = np.isfinite(state.chi)[:, None]
        chi = np.where(np.isfinite(state.chi), state.chi, 1.0)[:, None]
        exponent = np.where(finite, (ratio * self.scores + state.offset[:, None]) / chi, 0.0)
        return np.exp(np.clip(-exponent, -700, 60)), exponent

    def solve_rows(self, multipliers: Array, state: State) -> State:
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
            felt = np.exp(np.minimum(theta + np.maximum(move, 0.0), 0.0))
            largest = float(np.abs(move * felt).max())
            theta = np.minimum(theta + np.clip(move, -40.0, np.maximum(2.0, -theta)), ceiling)
            shift = shift + change
            if largest <= 1e-13 or (step > 30 and largest <= 1e-11):
                break
        return replace(state, log_ratio=theta, shift=shift)

    def derivatives(self, multipliers: Array, state: State) -> tuple[float, Array, Array]:
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

    def maximise(self, multipliers: Array, state: State) -> State:
        """Best ratio and (d, chi) for given multipliers: Newton on (d, chi), rows solved each time."""
        priced = multipliers > 0
        state = self.at_exact_bounds(self.solve_rows(multipliers, state))
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
                exact = self.solve_rows(multipliers, self.at_exact_bounds(state, chosen))
                if self.derivatives(multipliers, exact)[0] <= value + 1e-15:
                    break
                moved = exact
            state = moved
        return self.at_exact_bounds(state, ~priced)

    def _ascend(
        self,
        multipliers: Array,
        state: State,
        value: float,
        chosen: NDArray[np.bool_],
        step: Array,
        slope: float,
    ) -> State | None:
        """Backtrack along the Newton step, (2 m,) of the m constraints ``chosen`` (K-1,); None where it brings nothing."""
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
