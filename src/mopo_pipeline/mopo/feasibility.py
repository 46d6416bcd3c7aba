"""What can be attained: each objective alone, and several thresholds together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from mopo_pipeline.errors import MopoError
from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.validation import (
    Array,
    group_array,
    non_negative,
    positive,
    reference_array,
    win_rate_array,
)

TOLERANCE = 1e-9
_MAX_COLUMNS = 500
_SECONDARY = 1e-4


class InfeasibleThresholdsError(MopoError, ValueError):
    """No policy on these rows meets the thresholds.

    Attributes:
        attainable: (K-1,) what each constrained objective can reach alone.
        relaxed: (K-1,) the nearest thresholds, none above what was asked, that can all be met.
    """

    def __init__(self, thresholds: Array, attainable: Array, relaxed: Array) -> None:
        self.thresholds = thresholds
        self.attainable = attainable
        self.relaxed = relaxed
        together = "" if (thresholds > attainable + TOLERANCE).any() else " (each alone can be met, not all together)"
        super().__init__(
            f"no policy on these rows reaches thresholds {_digits(thresholds)}{together}: "
            f"each alone reaches at most {_digits(attainable)}; "
            f"the nearest that can all be met are {_digits(relaxed)}"
        )


@dataclass(frozen=True)
class Feasibility:
    """Smallest relaxation under which all thresholds can be met, with the certificate.

    Attributes:
        relaxed: (K-1,) thresholds that can all be met; equal to those asked where they are feasible.
        violation: largest amount any threshold had to give.
        normal: (K-1,) non-negative combination of the constraints that no policy satisfies (Farkas).
    """

    relaxed: Array
    violation: float
    normal: Array


def attainable_range(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    epsilon: float = 0.0,
) -> Array:
    """Lowest and highest value of each objective over all policies supported by the rows.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: KL temperature > 0; with a radius it sets how closely the best bound is approached.
        reference: (N,) mass >= 0, uniform if None.
        groups: (N,) integer prompt ids, one group if None.
        epsilon: radius of the row-robust bound; the range is then that of the bound (4).

    Returns:
        (K, 2): low, high.

    >>> attainable_range([[0.2, 0.9], [0.8, 0.1]], tau=0.1).tolist()
    [[0.2, 0.8], [0.1, 0.9]]
    """
    scores = win_rate_array(win_rates)
    positive(tau, "tau")
    epsilon = non_negative(epsilon, "epsilon")
    mass = reference_array(reference, scores.shape[0])
    problem = Problem.build(scores, mass, group_array(groups, scores.shape[0]), 0.0)
    if epsilon > 0:
        from mopo_pipeline.mopo.robust import robust_range

        return robust_range(problem, tau, epsilon)
    return np.array([value_range(problem, k) for k in range(scores.shape[1])])


def value_range(problem: Problem, objective: int) -> tuple[float, float]:
    """Low and high of one objective: the worst and the best response of every prompt."""
    column = problem.scores[:, objective]
    low = -problem.max(-column)
    high = problem.max(column)
    return float(problem.prompt_mass @ low), float(problem.prompt_mass @ high)


def check_feasible(problem: Problem, thresholds: Array) -> Feasibility:
    """Nearest feasible thresholds by column generation over vertex policies.

    A small linear programme mixes the value vectors of deterministic policies found so far; its duals
    name the direction in which the next policy is best (one pass over the rows). Exact at termination:
    no policy improves the mixture.
    """
    n = thresholds.size
    if n == 0:
        return Feasibility(thresholds, 0.0, np.zeros(0))
    vertices = [vertex_values(problem, direction) for direction in np.vstack([np.eye(n), np.ones((1, n))])]
    for _ in range(_MAX_COLUMNS):
        relaxation, normal, price = _master(np.array(vertices), thresholds)
        candidate = vertex_values(problem, normal)
        if normal @ candidate <= price + 1e-11:
            break
        vertices.append(candidate)
    violation = float(relaxation.max(initial=0.0))
    if violation <= TOLERANCE:
        return Feasibility(thresholds.copy(), 0.0, normal)
    return Feasibility(thresholds - relaxation - TOLERANCE * (relaxation > 0), violation, normal)


def vertex_values(problem: Problem, direction: Array) -> Array:
    """Values (K-1,) of the policy that plays, per prompt, the best response in ``direction``."""
    constrained = problem.scores[:, 1:]
    projected = constrained @ direction
    best = projected >= problem.spread(problem.max(projected)) - 1e-15
    mass = np.where(best, problem.mass, 0.0)
    mass *= problem.spread(problem.prompt_mass / problem.sum(mass))
    return np.asarray(mass @ constrained)


def _master(vertices: Array, thresholds: Array) -> tuple[Array, Array, float]:
    """Mix vertex policies so that the largest shortfall, then the total shortfall, is smallest.

    Returns the shortfalls (K-1,), the duals of the constraints (K-1,) and of the mixture.
    """
    m, n = vertices.shape
    cost = np.r_[np.zeros(m), np.full(n, _SECONDARY), 1.0]
    covers = np.hstack([-vertices.T, -np.eye(n), np.zeros((n, 1))])
    largest = np.hstack([np.zeros((n, m)), np.eye(n), -np.ones((n, 1))])
    result = linprog(
        cost,
        A_ub=np.vstack([covers, largest]),
        b_ub=np.r_[-thresholds, np.zeros(n)],
        A_eq=np.r_[np.ones(m), np.zeros(n + 1)][None, :],
        b_eq=[1.0],
        method="highs",
    )
    normal = -result.ineqlin.marginals[:n]
    return result.x[m : m + n], np.maximum(normal, 0.0), float(-result.eqlin.marginals[0]) * -1.0


def _digits(values: Array) -> str:
    return "(" + ", ".join(f"{v:.4f}" for v in values) + ")"
