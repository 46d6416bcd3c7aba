"""Do the objectives agree: rank correlation of their win rates within prompts (method.md, section 7)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.rows import build_rows


def rank_agreement(win_rates: ArrayLike, groups: ArrayLike | None = None) -> Array:
    """Mean over prompts of Spearman's rank correlation between objectives.

    Near 1 the objectives order each prompt's responses alike: nothing conflicts, and the primary
    alone would do. Ties take their mean rank. Prompts on which an objective ranks nothing (a single
    response, or all win rates equal) do not count for that objective.

    Args:
        win_rates: (N, K) in [0, 1].
        groups: (N,) integer prompt ids; None is one prompt.

    Returns:
        (K, K) in [-1, 1]; NaN where no prompt counts for both objectives.

    Raises:
        InputError: a wrong shape, or a win rate that is not finite or outside [0, 1].

    >>> rank_agreement([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    rows = build_rows(win_rates, None, groups)
    owner = np.repeat(np.arange(len(rows.starts)), rows.counts)
    ranks = np.stack([_ranks(column, owner) for column in rows.columns])
    ranks -= np.repeat(
        np.add.reduceat(ranks, rows.starts, axis=1) / rows.counts, rows.counts, axis=1
    )
    squares = np.add.reduceat(ranks**2, rows.starts, axis=1)
    size = rows.n_objectives
    result = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(i, size):
            scale = np.sqrt(squares[i] * squares[j])
            counted = scale > 0
            if counted.any():
                products = np.add.reduceat(ranks[i] * ranks[j], rows.starts)
                result[i, j] = result[j, i] = (products[counted] / scale[counted]).mean()
    return result


def _ranks(values: Array, owner: NDArray[np.int64]) -> Array:
    """Ranks (N,) of values (N,) within prompts, ties at their mean, plus an offset per prompt (N,).

    Ranks among all rows, half-integers up to N, keep order and ties and leave room for the prompt.
    """
    from scipy.stats import rankdata

    among_all = rankdata(values)
    return np.asarray(rankdata(owner * (len(values) + 1.0) + among_all))
