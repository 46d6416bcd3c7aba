"""Which thresholds exact values can meet: alone, together, and the nearest that can."""

import numpy as np
from scipy.optimize import nnls

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.ratio import best_responses
from mopo_pipeline.mopo.rows import Rows

ROUNDING = 1e-9
"""Distance, in win rates, that sums over rows leave between points that are the same."""


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
        the weighted sum of the asked ones lies above every policy: more than ``ROUNDING``
        certifies that the asked ones cannot be met.
    """
    uniform = np.ones(len(thresholds)) / max(len(thresholds), 1)
    vertices = [best_responses(rows, np.append(0.0, uniform))[1][1:]]
    reached, certificate = np.minimum(vertices[0], thresholds), -np.inf
    for _ in range(max_rounds):
        reached = _project(np.array(vertices), thresholds)
        direction = thresholds - reached
        distance = float(np.linalg.norm(direction))
        if distance <= ROUNDING:
            return reached, min(certificate, 0.0)
        direction = direction / distance
        best, values = best_responses(rows, np.append(0.0, direction))
        certificate = max(certificate, float(direction @ thresholds) - best)
        if best - float(direction @ reached) <= 1e-10:
            break
        vertices.append(values[1:])
    return reached, certificate


def _project(vertices: Array, thresholds: Array) -> Array:
    """Nearest point to ``thresholds`` (m,) of the hull of vertices (v, m) and everything below it."""
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
