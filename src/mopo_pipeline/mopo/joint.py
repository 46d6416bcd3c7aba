"""Thresholds that can be met together: a grid inside the jointly attainable region, with its multipliers."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.rows import build_rows
from mopo_pipeline.mopo.solvers.complementarity import Bounds, greatest, path, solve
from mopo_pipeline.mopo.solvers.over_comparisons import bounds_of
from mopo_pipeline.mopo.together import estimator_of

EDGE = 1 / 64
"""Share of a range up to which its end is looked for."""

UNHELD = -1.0
"""A threshold below everything: the objective is free."""


def joint_grid(
    win_rates: ArrayLike,
    positions: Sequence[float],
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: float | ArrayLike = 0.0,
    confidence: float | None = None,
    pooling: float | None = None,
) -> tuple[Array, Array]:
    """Thresholds at these positions of what can be met *together*.

    The first constrained objective's range goes from what the policy without thresholds is sure of to
    the most that its multiplier reaches; the second one's from what it has where the first is held to
    the most that can be met beside it, and so on. So the grid has no corner out of reach.

    Args:
        win_rates: (N, K) in [0, 1], K >= 2.
        positions: in [0, 1], of every constrained objective: 0 where a threshold begins to bind, 1 the edge.
        tau: temperature > 0.
        reference: (N,) mass >= 0, uniform if None; a prompt weighs what its rows weigh together.
        groups: (N,) integer prompt ids.
        comparisons: labelled pairs.
        epsilon: radius, as ``solve_dual`` will be given it.
        confidence: likewise.
        pooling: likewise.

    Returns:
        Thresholds (P, K-1) and the multipliers (P, K-1) that hold them, the last objective's position
        moving fastest; fewer than ``len(positions) ** (K - 1)`` where the solver finds none.

    Raises:
        InputError: one objective alone, or a position outside [0, 1].
    """
    rows = build_rows(win_rates, reference, groups)
    size = rows.n_objectives - 1
    if size < 1:
        raise InputError("one objective has no thresholds to place: there is no front")
    if not positions or min(positions) < 0 or max(positions) > 1:
        raise InputError(f"positions must lie in [0, 1], got {list(positions)}")
    estimator = estimator_of(rows, tau, comparisons, epsilon, confidence, pooling)
    bounds = bounds_of(estimator, size, False)
    tops = np.array([greatest(bounds, k) for k in range(size)])
    free = np.full(size, UNHELD)
    found = list(_placed(bounds, tops, sorted(positions), free, np.zeros(size), 0))
    thresholds, multipliers = (
        np.array(part).reshape(-1, size) for part in zip(*found, strict=True)
    )
    return thresholds, multipliers


def _placed(
    bounds: Bounds, tops: Array, positions: Sequence[float], held: Array, point: Array, k: int
) -> Iterator[tuple[Array, Array]]:
    """Thresholds (m,) with multipliers (m,), those of objectives before k held as in ``held`` (m,) by ``point`` (m,)."""
    if k == len(held):
        yield held, point
        return
    low = float(bounds(point)[k])
    edge = held.copy()
    edge[k] = max(float(tops[k]), low)
    reach = path(bounds, edge, point, EDGE)[-1][0] * (edge[k] - low)
    for position in positions:
        asked = held.copy()
        asked[k] = low + position * reach
        solved = point if position == 0 else solve(bounds, asked, point)
        if solved is None:
            return
        point = solved
        yield from _placed(bounds, tops, positions, asked, point, k + 1)
