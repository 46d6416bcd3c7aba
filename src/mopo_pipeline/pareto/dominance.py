"""Pareto dominance between points and between sets of points; every objective is maximised."""

from enum import Enum

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.pareto.points import check_pair, check_points


class SetRelation(Enum):
    """How one set of points stands to another (Zitzler et al. 2003)."""

    EQUAL = "equal"
    """The same non-dominated points."""
    BETTER = "better"
    """Every point of the other set is weakly dominated by a point of this one; they differ."""
    WORSE = "worse"
    """The other set is better."""
    INCOMPARABLE = "incomparable"
    """Each has a point that no point of the other weakly dominates."""


def non_dominated(points: ArrayLike, *, equals: bool = False) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    Point a dominates b where a is at least as good in every objective and better in one.

    Args:
        points: (m, K), maximised, finite.
        equals: mark all of several equal points; else the first alone.

    Returns:
        (m,) True for non-dominated points. Adding a dominated point changes no other entry.

    Raises:
        InputError: no points, or a coordinate that is not finite.

    >>> non_dominated([[1, 0], [0, 1], [0, 0], [0.5, 0.5]]).tolist()
    [True, True, False, True]
    >>> non_dominated([[1, 0], [1, 0]]).tolist(), non_dominated([[1, 0], [1, 0]], equals=True).tolist()
    ([True, False], [True, True])
    """
    array = check_points("points", points)
    found = moocore.is_nondominated(array, maximise=True, keep_weakly=equals)
    return np.asarray(found, dtype=np.bool_)


def dominates(first: ArrayLike, second: ArrayLike) -> NDArray[np.bool_]:
    """Which points of ``first`` dominate which of ``second``.

    Args:
        first: (m, K), maximised.
        second: (l, K).

    Returns:
        (m, l) True where the row's point is at least as good everywhere and better somewhere.

    >>> dominates([[1, 1]], [[1, 0], [1, 1]]).tolist()
    [[True, False]]
    """
    a, b = check_pair("first", first, "second", second)
    at_least = (a[:, None, :] >= b[None, :, :]).all(axis=2)
    better = (a[:, None, :] > b[None, :, :]).any(axis=2)
    return np.asarray(at_least & better)


def compare_sets(first: ArrayLike, second: ArrayLike) -> SetRelation:
    """Relation of the first set of points (m, K) to the second (n, K), by weak dominance between sets.

    >>> compare_sets([[1, 1]], [[1, 0], [0, 1]])
    <SetRelation.BETTER: 'better'>
    """
    a, b = check_pair("first", first, "second", second)
    weakly = (a[:, None, :] >= b[None, :, :]).all(axis=2)
    backward = (b[:, None, :] >= a[None, :, :]).all(axis=2)
    first_covers, second_covers = weakly.any(axis=0).all(), backward.any(axis=0).all()
    if first_covers and second_covers:
        return SetRelation.EQUAL
    if first_covers:
        return SetRelation.BETTER
    return SetRelation.WORSE if second_covers else SetRelation.INCOMPARABLE
