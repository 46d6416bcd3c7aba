"""Which thresholds can be met: alone, together, and the nearest that can."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls

from mopo_pipeline.mopo.checks import check_number
from mopo_pipeline.mopo.ratio import best_responses
from mopo_pipeline.mopo.rows import Rows, build_rows

Array = NDArray[np.float64]

TOLERANCE = 1e-9
"""Win rate by which a threshold may exceed what is attainable and still count as met."""


def attainable_range(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    epsilon: float = 0.0,
) -> Array:
    """Lowest and highest value of each objective over all policies supported by the rows.

    ``E_x min_y s_k`` and ``E_x max_y s_k``. With ``epsilon`` > 0 both ends are lower bounds
    (eq. 4 over rows): the bound of the policy that plays each prompt's worst response, and the
    greatest bound any policy has. A high end is what a threshold can reach *alone*.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0; the range without KL penalty does not depend on it.
        reference: (N,) mass >= 0; a row of no mass is out of every policy's reach.
        groups: (N,) integer prompt ids.
        epsilon: radius >= 0 of the bound.

    Returns:
        (K, 2) array of (low, high), win rates.

    >>> attainable_range([[0.2, 0.9], [0.8, 0.1]], tau=0.1).tolist()
    [[0.2, 0.8], [0.1, 0.9]]
    """
    rows = build_rows(win_rates, reference, groups)
    check_number("tau", tau, above=0)
    radius = check_number("epsilon", epsilon, at_least=0)
    directions = np.eye(rows.n_objectives)
    low = [-best_responses(rows, -direction)[0] for direction in directions]
    high = [best_responses(rows, direction)[0] for direction in directions]
    if radius > 0:
        from mopo_pipeline.mopo.robust import greatest_bound, worst_bound

        low = [worst_bound(rows, k, radius) for k in range(rows.n_objectives)]
        high = [greatest_bound(rows, k, radius) for k in range(rows.n_objectives)]
    return np.column_stack([low, high])


def attainable_alone(rows: Rows) -> Array:
    """``E_x max_y s_k`` of each constrained objective, (K-1,)."""
    directions = np.eye(rows.n_objectives)[1:]
    return np.array([best_responses(rows, direction)[0] for direction in directions])


def nearest_attainable(rows: Rows, thresholds: Array, max_rounds: int = 500) -> tuple[Array, float]:
    """Project thresholds on what policies can reach together (Euclidean, downwards only).

    Wolfe's method: the projection on the hull of the policies found so far gives a direction; the
    best deterministic policy in that direction, one pass over the rows, joins the hull until none
    helps. The result is a mixture of policies that exist, so it is attained, not approximated.

    Args:
        rows: sorted rows.
        thresholds: (K-1,) win rates asked for.
        max_rounds: passes at most.

    Returns:
        (K-1,) thresholds that one policy meets together, none above what was asked; and how far
        the weighted sum of the asked ones lies above every policy: positive certifies that the
        asked ones cannot be met.
    """
    uniform = np.ones(len(thresholds)) / max(len(thresholds), 1)
    vertices = [best_responses(rows, np.append(0.0, uniform))[1][1:]]
    reached, certificate = np.minimum(vertices[0], thresholds), -np.inf
    for _ in range(max_rounds):
        reached = _project(np.array(vertices), thresholds)
        direction = thresholds - reached
        distance = float(np.linalg.norm(direction))
        if distance <= TOLERANCE:
            return reached, min(certificate, 0.0)
        direction = direction / distance
        best, values = best_responses(rows, np.append(0.0, direction))
        certificate = max(certificate, float(direction @ thresholds) - best)
        if best - float(direction @ reached) <= 1e-10:
            break
        vertices.append(values[1:])
    return reached, certificate


def _project(vertices: Array, thresholds: Array) -> Array:
    """Nearest point to ``thresholds`` of the vertices' hull and everything below it."""
    count, size = vertices.shape
    weight = 1e4
    system = np.zeros((size + 1, count + size))
    system[:size, :count] = vertices.T
    system[:size, count:] = -np.eye(size)
    system[size, :count] = weight
    solution = nnls(system, np.append(thresholds, weight), maxiter=100 * (count + size))[0]
    mixture = solution[:count] / solution[:count].sum()
    nearest: Array = np.minimum(vertices.T @ mixture, thresholds)
    return nearest
