"""Indicators of a set of points; every objective is maximised.

moocore does the counting. It reports nonsense for NaN and silently nothing for points beyond the
reference point, so coordinates are checked here and the reference point is always the caller's.
"""

import moocore
import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.points import check_pair, check_points, check_vector


def hypervolume(points: ArrayLike, reference: ArrayLike | None = None) -> float:
    """Volume dominated by the points above a reference point. Higher is better.

    Args:
        points: (m, K), maximised. A point not better than ``reference`` everywhere adds nothing.
        reference: (K,) worst corner, fixed before any result is seen; the origin if None, the
            worst a win rate can be.

    >>> hypervolume([[0.5, 1.0], [1.0, 0.5], [0.2, 0.2]])
    0.75
    """
    array = check_points("points", points)
    size = array.shape[1]
    corner = np.zeros(size) if reference is None else check_vector("reference", reference, size)
    return float(moocore.hypervolume(array, ref=corner, maximise=True))


def igd_plus(points: ArrayLike, front: ArrayLike) -> float:
    """Mean distance by which the points (m, K) fall short of a reference front (n, K) (IGD+). Lower is better.

    Weakly Pareto-compliant: being better than a point of the front costs nothing.

    >>> igd_plus([[1.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]])
    0.0
    """
    a, b = check_pair("points", points, "front", front)
    return float(moocore.igd_plus(a, ref=b, maximise=True))


def additive_epsilon(points: ArrayLike, front: ArrayLike) -> float:
    """Least amount which, added to every objective, lets points (m, K) cover a front (n, K). Lower is better.

    >>> round(additive_epsilon([[0.9, 0.4]], [[1.0, 0.5]]), 6)
    0.1
    """
    a, b = check_pair("points", points, "front", front)
    return float(moocore.epsilon_additive(a, ref=b, maximise=True))


def expected_utility(points: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean over weight vectors of the best weighted sum among the points. Higher is better.

    Args:
        points: (m, K), maximised.
        weights: (w, K) weights >= 0; None takes the simplex lattice of about 500 vectors.

    >>> round(expected_utility([[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [1.0, 0.0]]), 6)
    0.75
    """
    array = check_points("points", points)
    if weights is None:
        directions = simplex_lattice(array.shape[1])
    else:
        array, directions = check_pair("points", array, "weights", weights)
        if (directions < 0).any():
            raise InputError(f"weights must not be negative, got {directions.min():g}")
    return float((directions @ array.T).max(axis=1).mean())


def simplex_lattice(size: int, about: int = 500) -> Array:
    """Evenly spaced weight vectors (n, size) that sum to 1: the finest lattice of at most ``about``."""
    from itertools import combinations
    from math import comb

    if size == 1:
        return np.ones((1, 1))
    steps = 1
    while comb(steps + size, size - 1) <= about:
        steps += 1
    bars = np.array(list(combinations(range(steps + size - 1), size - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), steps + size - 1)])
    lattice: Array = (np.diff(edges, axis=1) - 1) / steps
    return lattice
