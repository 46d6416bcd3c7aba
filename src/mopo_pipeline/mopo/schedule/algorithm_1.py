"""The published minibatch updates (arXiv 2505.10892, Algorithm 1), for comparison with the exact dual."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.checks import check_number, check_thresholds
from mopo_pipeline.mopo.rows import Rows, build_rows
from mopo_pipeline.mopo.schedule.history import Table, as_table

_SMALLEST_CHI = 1e-3


@dataclass(frozen=True)
class StochasticRun:
    """A finished run.

    Attributes:
        policy: (N,) probabilities of the rows after the last update; 0 where the reference has no
            mass.
        multipliers: (K-1,) after the last update.
        chi: (K-1,) temperature of each bound after the last update.
        policies: (R, N) the policy after each recorded update.
        records: R, one per recorded update, the rows of ``history``: ``step``, ``value_<k>`` of the policy,
            ``multiplier_<k>``, ``chi_<k>`` (k from 1 for the latter two).
    """

    policy: Array
    multipliers: Array
    chi: Array
    policies: Array
    records: tuple[dict[str, float], ...]

    @property
    def history(self) -> Table:
        """The records as a table, one row each."""
        return as_table(self.records)


@dataclass(frozen=True)
class _State:
    """What the updates move."""

    logits: Array
    multipliers: Array
    chi: Array

    @property
    def policy(self) -> Array:
        """Probabilities (n,)."""
        weights = np.exp(self.logits - self.logits.max())
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class _Updates:
    """One minibatch's gradient steps on chi, the multipliers and the policy, in this order."""

    rows: Rows
    thresholds: Array
    tau: float
    epsilon: float
    batch_size: int
    multiplier_step: float
    chi_step: float
    policy_step: float

    def states(self, steps: int, rng: np.random.Generator) -> Iterator[_State]:
        size = len(self.thresholds)
        state = _State(np.log(self.rows.mass), np.zeros(size), np.ones(size))
        cumulative = np.cumsum(self.rows.mass)
        cumulative[-1] = 1.0
        for _ in range(steps):
            batch = np.searchsorted(cumulative, rng.random(self.batch_size), side="right")
            state = self.step(state, batch)
            yield state

    def step(self, state: _State, batch: NDArray[np.int64]) -> _State:
        """The state after a batch of rows (batch_size,)."""
        drawn = self.rows.columns[:, batch]
        exponent = (drawn[0] + state.multipliers @ drawn[1:]) / self.tau
        weight = np.exp(exponent - exponent.max())
        ratio = weight / weight.mean()
        bound, slope = _bound_and_slope(ratio * drawn[1:], state.chi, self.epsilon)
        pull = np.bincount(batch, ratio, len(state.logits)) / self.batch_size
        return _State(
            state.logits + self.policy_step * (pull - state.policy),
            np.maximum(state.multipliers - self.multiplier_step * (bound - self.thresholds), 0.0),
            np.maximum(state.chi + self.chi_step * slope, _SMALLEST_CHI),
        )


def run_stochastic(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    rng: np.random.Generator,
    steps: int,
    batch_size: int,
    multiplier_step: float,
    policy_step: float,
    record_every: int,
    reference: ArrayLike | None = None,
    epsilon: float = 0.0,
    chi_step: float = 0.05,
) -> StochasticRun:
    """Plain gradient steps on chi, the multipliers and the policy, a minibatch of rows at a time.

    Unlike the paper's Eq. 3, the ratio is normalised, over the minibatch, which biases it towards
    one: the smaller the batch, the further from the exact dual a run ends.

    Args:
        win_rates: (N, K) in [0, 1], column 0 the primary; one group.
        thresholds: (K-1,). Thresholds out of reach are no error: their multipliers grow with the
            updates.
        tau: KL temperature, > 0.
        rng: draws the minibatches.
        steps: number of updates, a whole number >= 1.
        batch_size: rows per update, drawn by mass with replacement; a whole number >= 1.
        multiplier_step: step size of the multipliers, > 0.
        policy_step: step size of the policy's logits, > 0.
        record_every: updates between two rows of the history, a whole number from 1 to ``steps``.
        reference: (N,) mass >= 0; uniform if None.
        epsilon: radius of the bound over rows, >= 0; 0 leaves chi untouched.
        chi_step: step size of chi, > 0.

    Raises:
        InputError: a wrong shape, type or range; the message prints what was received.
    """
    rows = build_rows(win_rates, reference, None)
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng must be a numpy Generator, got {type(rng).__name__}")
    total = _whole("steps", steps)
    every = _whole("record_every", record_every)
    if every > total:
        raise InputError(f"record_every must not exceed steps, got {every} of {total}")
    updates = _Updates(
        rows,
        check_thresholds(thresholds, rows.n_objectives - 1),
        tau=check_number("tau", tau, above=0),
        epsilon=check_number("epsilon", epsilon, at_least=0),
        batch_size=_whole("batch_size", batch_size),
        multiplier_step=check_number("multiplier_step", multiplier_step, above=0),
        chi_step=check_number("chi_step", chi_step, above=0),
        policy_step=check_number("policy_step", policy_step, above=0),
    )
    return _finished(rows, updates.states(total, rng), every)


def _finished(rows: Rows, states: Iterator[_State], every: int) -> StochasticRun:
    """The last state, and a record of each whose number ``every`` divides; no other is kept."""
    recorded = []
    for step, state in enumerate(states, start=1):
        if step % every == 0:
            recorded.append((step, state))
    return StochasticRun(
        rows.restore(state.policy),
        state.multipliers,
        state.chi,
        np.array([rows.restore(kept.policy) for _, kept in recorded]),
        _records(rows, recorded),
    )


def _records(rows: Rows, recorded: list[tuple[int, _State]]) -> tuple[dict[str, float], ...]:
    return tuple(
        {"step": step}
        | {f"value_{k}": v for k, v in enumerate(rows.columns @ state.policy)}
        | {f"multiplier_{k}": v for k, v in enumerate(state.multipliers, start=1)}
        | {f"chi_{k}": v for k, v in enumerate(state.chi, start=1)}
        for step, state in recorded
    )


def _bound_and_slope(values: Array, chi: Array, epsilon: float) -> tuple[Array, Array]:
    """The bound (4) of a minibatch, (K-1, B), at ``chi``, and its derivative there."""
    if epsilon == 0:
        return values.mean(axis=1), np.zeros_like(chi)
    lowest = values.min(axis=1)
    tilt = np.exp(-(values - lowest[:, None]) / chi[:, None])
    log_mean = np.log(tilt.mean(axis=1)) - lowest / chi
    worst = (tilt * values).sum(axis=1) / tilt.sum(axis=1)
    return -chi * log_mean - chi * epsilon, -log_mean - worst / chi - epsilon


def _whole(name: str, value: Any) -> int:
    """Return ``value`` as an int >= 1, or raise an InputError that prints it."""
    number = check_number(name, value, at_least=1)
    if not number.is_integer():
        raise InputError(f"{name} must be a whole number, got {value!r}")
    return int(number)
