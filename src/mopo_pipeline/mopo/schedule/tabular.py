"""The whole method on one prompt with a finite list of alternatives and exact preferences.

Nothing is sampled and nothing is trained: every step solves the problem exactly, so what the
schedule of references and thresholds does can be held against a linear programme.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.bound import lower_bound
from mopo_pipeline.mopo.checks import check_mass, check_number, finite_array, unit_interval
from mopo_pipeline.mopo.schedule.history import Table, as_table
from mopo_pipeline.mopo.solution import DualSolution
from mopo_pipeline.mopo.solve import solve_dual

PAPER_STEPS = 10_000
"""Length of a run in the paper; the default where thresholds adapt."""

MAX_REFRESHES = 4_000

SETTLED = 1e-7
"""Change of the values per refresh, times the refreshes so far, at which a lagged run ends."""

LEAST_MASS = 1e-280
"""Floor on the reference, so that no alternative is lost to rounding."""


@dataclass(frozen=True)
class TabularRun:
    """A finished run.

    Attributes:
        policy: (n,) probabilities of the alternatives.
        values: (K,) win rates of the policy against the behaviour policy.
        multipliers: (K-1,) of the last solve.
        records: one per solve, the rows of ``history``: ``step``, ``value_<k>``, ``threshold_<k>``, ``multiplier_<k>``
            (k from 1 for the latter two), ``kl`` from the reference of that solve,
            ``kl_from_behaviour``, ``entropy``, all in nats.
    """

    policy: Array
    values: Array
    multipliers: Array
    records: tuple[dict[str, float], ...]

    @property
    def history(self) -> Table:
        """The records as a table, one row each."""
        return as_table(self.records)


def run_tabular(
    preferences: ArrayLike,
    behaviour: ArrayLike,
    thresholds: ArrayLike,
    *,
    tau: float,
    lag: int | None = None,
    beta: float | None = None,
    steps: int | None = None,
    epsilon: float = 0.0,
) -> TabularRun:
    """Run the schedule of section 5 with exact solves.

    Every ``lag`` steps the reference becomes the policy of ``lag`` steps ago. A solve is exact, so
    between two refreshes nothing changes and one solve stands for all its steps.

    - static reference (``lag`` None): the optimum of (1);
    - lagged reference, fixed thresholds: a proximal-point method that reaches the unregularised
      optimum, the true Pareto point;
    - ``beta``: thresholds become ``beta`` times the bound of the policy at each refresh, which that
      policy meets, so the next problem is feasible by construction. The given thresholds hold until
      the first refresh.

    Args:
        preferences: (K, n, n) probabilities that the row wins; ``p + p.T = 1``.
        behaviour: (n,) mass >= 0 of the alternatives, the first reference and the opponents.
        thresholds: (K-1,) win rates.
        tau: KL temperature > 0.
        lag: steps between refreshes, >= 1.
        beta: threshold relaxation in (0, 1].
        steps: length of the run. None: one solve if static; until the values settle if lagged with
            fixed thresholds (or 4000 refreshes); 10 000 if they adapt.
        epsilon: radius of the lower bound, over the alternatives, on both sides of a threshold.

    Raises:
        InputError: preferences that are no probabilities or do not add to 1 with their transpose.
        InfeasibleThresholdsError: the thresholds are out of reach.

    >>> cycle = [[.5, 1, 0], [0, .5, 1], [1, 0, .5]]
    >>> run = run_tabular([cycle], [.2, .3, .5], [], tau=.1, lag=1)
    >>> run.policy.round(3).tolist()
    [0.0, 1.0, 0.0]
    """
    win_rates, mass = tabular_win_rates(preferences, behaviour)
    period, refreshes, settle = _schedule(lag, beta, steps)
    targets = finite_array("thresholds", thresholds, 1)
    reference, records = mass, list[dict[str, float]]()
    previous = np.full(win_rates.shape[1], np.inf)
    for refresh in range(refreshes + 1):
        solution = solve_dual(win_rates, targets, tau=tau, reference=reference, epsilon=epsilon)
        policy = solution.ratio * reference
        policy = policy / policy.sum()
        records.append(_record(refresh * (period or 0), solution, policy, mass, targets))
        change = float(np.abs(solution.values - previous).max())
        if settle and refresh > 2 and change * refresh <= SETTLED:
            break
        previous, reference = solution.values, np.maximum(policy, LEAST_MASS * (mass > 0))
        if beta is not None:
            targets = beta * _reference_bounds(win_rates, reference, epsilon)
    return TabularRun(policy, solution.values, solution.multipliers, tuple(records))


def tabular_win_rates(preferences: ArrayLike, behaviour: ArrayLike) -> tuple[Array, Array]:
    """Win rates (n, K) of the alternatives against the behaviour policy, and its mass (n,)."""
    matrices = finite_array("preferences", preferences, 3)
    if matrices.shape[1] != matrices.shape[2] or matrices.size == 0:
        raise InputError(f"preferences must have shape (K, n, n), got {matrices.shape}")
    unit_interval("preferences", matrices)
    skew = np.abs(matrices + matrices.transpose(0, 2, 1) - 1)
    if skew.max() > 1e-9:
        k, i, j = (int(v) for v in np.unravel_index(int(skew.argmax()), skew.shape))
        raise InputError(
            f"preferences must satisfy p(i, j) + p(j, i) = 1, got {matrices[k, i, j]:g} + "
            f"{matrices[k, j, i]:g} for objective {k}, alternatives {i} and {j}"
        )
    mass = check_mass("behaviour", behaviour, matrices.shape[1])
    return np.clip((matrices @ mass).T, 0.0, 1.0), mass


def _schedule(
    lag: int | None, beta: float | None, steps: int | None
) -> tuple[int | None, int, bool]:
    """Steps between refreshes, refreshes at most, and whether the run ends when values settle."""
    period = None if lag is None else int(check_number("lag", lag, at_least=1))
    if beta is not None and not 0 < check_number("beta", beta) <= 1:
        raise InputError(f"beta must lie in (0, 1], got {beta!r}")
    total = None if steps is None else int(check_number("steps", steps, at_least=1))
    settle = total is None and beta is None
    if period is None:
        return None, 0, settle
    return period, MAX_REFRESHES if settle else (total or PAPER_STEPS) // period, settle


def _reference_bounds(win_rates: Array, reference: Array, epsilon: float) -> Array:
    """Bound of each constrained objective at the reference itself, (K-1,)."""
    return np.array(
        [
            lower_bound(win_rates[:, k], reference, epsilon).value
            for k in range(1, win_rates.shape[1])
        ]
    )


def _record(
    step: int, solution: DualSolution, policy: Array, behaviour: Array, thresholds: Array
) -> dict[str, float]:
    """What a step is told by: policy and behaviour (n,), thresholds (K-1,)."""
    held = policy > 0
    logs = np.log(policy[held])
    record: dict[str, float] = {"step": step}
    record |= {f"value_{k}": float(v) for k, v in enumerate(solution.values)}
    record |= {f"threshold_{k}": float(b) for k, b in enumerate(thresholds, start=1)}
    record |= {f"multiplier_{k}": float(m) for k, m in enumerate(solution.multipliers, start=1)}
    record["kl"] = solution.kl
    record["kl_from_behaviour"] = float(policy[held] @ (logs - np.log(behaviour[held])))
    record["entropy"] = float(-(policy[held] @ logs))
    return record
