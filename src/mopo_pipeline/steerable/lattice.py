"""Multipliers on a lattice: each of its points is the solved dual of some thresholds (method.md, eqs. 2 and 3)."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.checks import check_number
from mopo_pipeline.mopo.pooling import choose_pooling, pooled_ratio
from mopo_pipeline.mopo.ratio import per_prompt
from mopo_pipeline.mopo.rows import build_rows

BEYOND = 1.5
"""The lattice ends at so many times the greatest multiplier of the plans it spans."""

LEAST_END = 1.0
"""Where it ends at least: an objective whose thresholds never bound can be asked for too."""


@dataclass(frozen=True)
class Lattice:
    """Multipliers by level.

    Attributes:
        levels: (J, K-1) from 0, the last objective's moving fastest.
        multipliers: (J, K-1), in proportion to the levels.
        count: levels of each objective.
    """

    levels: NDArray[np.int64]
    multipliers: Array
    count: int


def lattice(multipliers: Array, points: int) -> Lattice:
    """A lattice that spans the multipliers of solved plans.

    Args:
        multipliers: (P, K-1) of P plans.
        points: of the lattice at most; two levels of each objective there always are.

    >>> lattice(np.array([[0.0], [2.0]]), 4).multipliers.ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    constrained = multipliers.shape[1]
    count = max(2, int(points ** (1.0 / constrained) + 1e-9))
    ends = np.maximum(BEYOND * multipliers.max(axis=0, initial=0.0), LEAST_END)
    levels = np.array(list(product(range(count), repeat=constrained)), dtype=np.int64)
    return Lattice(levels, levels / (count - 1) * ends, count)


def row_weights(
    win_rates: Array, groups: Index, multipliers: Array, *, tau: float, pooling: float | None
) -> Array:
    """Weights (N,) of mean 1 that teach the policy of these multipliers (method.md, section 2).

    Args:
        win_rates: (N, K) in [0, 1].
        groups: (N,) prompt of each row.
        multipliers: (K-1,).
        tau: temperature > 0.
        pooling: of the normaliser, as ``solve_dual`` takes it; None is chosen by the data.
    """
    rows = build_rows(win_rates, None, groups)
    exponent = np.append(1.0, multipliers) @ rows.columns / check_number("tau", tau, above=0)
    if pooling is None:
        pooling = choose_pooling(win_rates, tau=tau, groups=groups, multipliers=multipliers)
    if pooling == 0.0:
        return rows.restore(per_prompt(rows, exponent))
    return rows.restore(pooled_ratio(rows, exponent, pooling))


def drawn_in_turn(weights: Array, n: int, rng: np.random.Generator) -> Index:
    """Rows (n,) drawn in proportion to weights (N,), none more than one time off its expected number (systematic resampling).

    >>> drawn_in_turn(np.array([1.0, 0.0, 3.0]), 4, np.random.default_rng(0)).tolist()
    [0, 2, 2, 2]
    """
    places = (rng.random() + np.arange(n)) / n
    ends = np.cumsum(weights) / weights.sum()
    return np.minimum(np.searchsorted(ends, places, side="right"), len(weights) - 1)
