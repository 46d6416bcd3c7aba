"""The weighted negative log-likelihood, equation (6)."""

import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE = 1e-6
"""A row's weight beside the batch's largest, below which single precision would not see it."""


def merge_rows(
    rows: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every row once, ascending, with the sum of its weights; rows whose sum is negligible left out.

    >>> merge_rows(np.array([7, 2, 7, 5]), np.array([1.0, 1.0, 0.5, 0.0]))
    (array([2, 7]), array([1. , 1.5]))
    """
    distinct, place = np.unique(rows, return_inverse=True)
    total = np.bincount(place, weights=weights)
    kept = total >= NEGLIGIBLE * total.max()
    return distinct[kept], total[kept]
