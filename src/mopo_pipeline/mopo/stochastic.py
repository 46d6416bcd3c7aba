"""The published minibatch updates (arXiv 2505.10892, Algorithm 1), for comparison with the exact dual."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.mopo.checks import check_number, check_thresholds
from mopo_pipeline.mopo.rows import build_rows

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
_SMALLEST_CHI = 1e-3


@dataclass(frozen=True)
class StochasticRun:
    """A finished run.

    Attributes:
        policy: (N,) probabilities of the rows.
        multipliers: (K-1,) after the last update.
        chi: (K-1,) temperature of each bound after the last update.
        history: one row per recorded update: ``step``, ``value_<k>`` of the policy,
            ``multiplier_<k>``, ``chi_<k>`` (k from 1 for the latter two).
    """

    policy: Array
    multipliers: Array
    chi: Array
    history: "pd.DataFrame"


def run_stochastic(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    rng: np.random.Generator,
    reference: ArrayLike | None = None,
    epsilon: float = 0.0,
    steps: int = 5000,
    batch_size: int = 8,
    multiplier_step: float = 0.05,
    chi_step: float = 0.05,
    policy_step: float = 0.05,
    record_every: int = 50,
) -> StochasticRun:
    """Plain gradient steps on chi, the multipliers and the policy, a minibatch of rows at a time.

    Unlike the paper's Eq. 3, the ratio is normalised, over the minibatch, which biases it towards
    one: the smaller the batch, the further from the exact dual a run ends.

    Args:
        win_rates: (N, K) in [0, 1], column 0 the primary; one group.
        thresholds: (K-1,).
        tau: KL temperature, > 0.
        rng: draws the minibatches.
        reference: (N,) mass >= 0; uniform if None.
        epsilon: radius of the bound over rows, >= 0; 0 leaves chi untouched.
        steps: number of updates.
        batch_size: rows per update, drawn by mass.
        multiplier_step: step size of the multipliers.
        chi_step: step size of chi.
        policy_step: step size of the policy's logits.
        record_every: updates between two rows of the history.

    Raises:
        InputError: a wrong shape or a value out of range.
    """
    import pandas as pd

    rows = build_rows(win_rates, reference, None)
    temperature = check_number("tau", tau, above=0.0)
    radius = check_number("epsilon", epsilon, at_least=0.0)
    asked = check_thresholds(thresholds, rows.n_objectives - 1)
    scores, mass = rows.columns.T, rows.mass
    logits = np.log(mass)
    multipliers, chi = np.zeros(len(asked)), np.ones(len(asked))
    history = []
    for step in range(1, steps + 1):
        batch = rng.choice(len(mass), batch_size, p=mass)
        drawn = scores[batch]
        exponent = (drawn[:, 0] + drawn[:, 1:] @ multipliers) / temperature
        weight = np.exp(exponent - exponent.max())
        ratio = weight / weight.mean()
        bound, slope = _bound_and_slope(ratio[:, None] * drawn[:, 1:], chi, radius)
        chi = np.maximum(chi + chi_step * slope, _SMALLEST_CHI)
        multipliers = np.maximum(multipliers - multiplier_step * (bound - asked), 0.0)
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        logits = logits + policy_step * (
            np.bincount(batch, ratio, minlength=len(mass)) / batch_size - policy
        )
        if step % record_every == 0:
            history.append(
                {"step": step}
                | {f"value_{k}": v for k, v in enumerate(policy @ scores)}
                | {f"multiplier_{k}": v for k, v in enumerate(multipliers, start=1)}
                | {f"chi_{k}": v for k, v in enumerate(chi, start=1)}
            )
    policy = np.exp(logits - logits.max())
    return StochasticRun(policy / policy.sum(), multipliers, chi, pd.DataFrame(history))


def _bound_and_slope(values: Array, chi: Array, epsilon: float) -> tuple[Array, Array]:
    """The bound (4) of a minibatch at ``chi``, and its derivative there."""
    if epsilon == 0:
        return values.mean(axis=0), np.zeros_like(chi)
    lowest = values.min(axis=0)
    tilt = np.exp(-(values - lowest) / chi)
    log_mean = np.log(tilt.mean(axis=0)) - lowest / chi
    worst = (tilt * values).sum(axis=0) / tilt.sum(axis=0)
    return -chi * log_mean - chi * epsilon, -log_mean - worst / chi - epsilon
