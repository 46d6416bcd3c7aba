"""MOPO on a finite set of alternatives: static and lagged reference, fixed and adaptive thresholds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.dual import solve_dual
from mopo_pipeline.mopo.validation import Array, positive, reference_array, threshold_array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TabularRun:
    """Where a run ended and how it got there.

    Attributes:
        policy: (n,) probabilities.
        values: (K,) win rates of the policy against the behaviour policy.
        multipliers: (K-1,) of the last solve.
        history: one row per solve: step, value_k, threshold_k, multiplier_k, kl to the last reference.
    """

    policy: Array
    values: Array
    multipliers: Array
    history: "pd.DataFrame"


def win_rates_against(preferences: ArrayLike, behaviour: ArrayLike) -> Array:
    """Win rate of every alternative against the behaviour policy, (n, K).

    Args:
        preferences: (K, n, n), entry [k, i, j] the probability that i is preferred to j; [k, i, j] + [k, j, i] = 1.
        behaviour: (n,) probabilities.

    Raises:
        InputError: wrong shape, values outside [0, 1], or entries that do not sum to 1 with their transpose.
    """
    table = np.asarray(preferences, dtype=np.float64)
    if table.ndim != 3 or table.shape[1] != table.shape[2]:
        raise InputError(f"preferences must be (K, n, n); got shape {table.shape}")
    if not ((table >= 0) & (table <= 1)).all():
        raise InputError("preferences must lie in [0, 1]")
    asymmetry = np.abs(table + table.transpose(0, 2, 1) - 1.0)
    if asymmetry.max() > 1e-9:
        k, i, j = (int(v) for v in np.unravel_index(asymmetry.argmax(), asymmetry.shape))
        raise InputError(
            f"preferences[{k}, {i}, {j}] and its mirror must sum to 1; got "
            f"{table[k, i, j]} and {table[k, j, i]}"
        )
    return np.asarray((table @ reference_array(behaviour, table.shape[1])).T)


def run_tabular(
    preferences: ArrayLike,
    behaviour: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    lag: int | None = None,
    beta: float | None = None,
    steps: int = 1000,
) -> TabularRun:
    """Run MOPO exactly on a preference table.

    A static reference (``lag=None``) solves (1) once. With a lag, every ``lag`` steps the reference becomes the
    policy of ``lag`` steps ago: a proximal-point method whose limit is the unregularised optimum.
    With ``beta`` the thresholds follow beta times the value of that earlier policy, never below
    those asked for being attainable by construction.

    Args:
        preferences: (K, n, n) preference probabilities.
        behaviour: (n,) behaviour policy, also the first reference.
        thresholds: (K-1,) on the constrained values; with ``beta`` those of the first solve.
        tau: KL temperature > 0.
        lag: steps between refreshes, at least 1; None never refreshes.
        beta: threshold relaxation in (0, 1]; None keeps thresholds fixed.
        steps: length of the run.

    Raises:
        InfeasibleThresholdsError: the thresholds are out of reach.
        InputError: arguments of the wrong shape or range.

    Source: ``method.md`` section 5.
    """
    import pandas as pd

    scores = win_rates_against(preferences, behaviour)
    tau = positive(tau, "tau")
    wanted = threshold_array(thresholds, scores.shape[1])
    if lag is not None and lag < 1:
        raise InputError(f"lag must be at least 1 step; got {lag}")
    if beta is not None and not 0.0 < beta <= 1.0:
        raise InputError(f"beta must lie in (0, 1]; got {beta}")
    reference = reference_array(behaviour, scores.shape[0])
    refreshes = 0 if lag is None else steps // lag
    records = []
    for refresh in range(refreshes + 1):
        solution = solve_dual(scores, wanted, tau=tau, reference=reference)
        policy = reference * solution.ratio
        records.append(_record(refresh * (lag or 0), solution.values, wanted, solution.multipliers, solution.kl))
        if lag is None or np.abs(policy - reference).sum() < 1e-12:
            break
        reference = policy / policy.sum()
        if beta is not None:
            wanted = beta * solution.values[1:]
    return TabularRun(policy, policy @ scores, solution.multipliers, pd.DataFrame(records))


def _record(step: int, values: Array, thresholds: Array, multipliers: Array, kl: float) -> dict[str, float]:
    record: dict[str, float] = {"step": step, "kl": kl}
    record |= {f"value_{k}": float(v) for k, v in enumerate(values)}
    record |= {f"threshold_{k}": float(b) for k, b in enumerate(thresholds, 1)}
    return record | {f"multiplier_{k}": float(m) for k, m in enumerate(multipliers, 1)}
