"""The weighted negative log-likelihood, equation (6): pure, per row."""

import numpy as np
import torch
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array

NEGLIGIBLE = 1e-6
"""A row's weight beside the batch's largest, below which single precision would not see it."""


def weighted_nll(logprob: torch.Tensor, weight: torch.Tensor, mean_length: float) -> torch.Tensor:
    """``-weight log pi(y|x) / mean_length`` of each row, eq. (6) before its mean.

    Divided by the mean response length, so that its size does not depend on the task.

    Args:
        logprob: (rows,) log pi(y|x), summed over response tokens, nats, <= 0.
        weight: (rows,) importance ratio or number of draws, >= 0.
        mean_length: tokens of a response, > 0.

    Returns:
        (rows,) nats per token, differentiable in ``logprob``.

    >>> weighted_nll(torch.tensor([-6.0, -2.0]), torch.tensor([1.0, 0.5]), 4.0)
    tensor([1.5000, 0.2500])
    """
    return -(weight * logprob) / mean_length


def merge_rows(rows: NDArray[np.int64], weights: Array) -> tuple[NDArray[np.int64], Array]:
    """Every row once, ascending, with the sum of its weights; rows whose sum is negligible left out.

    Args:
        rows: (n,) indices, with repetitions.
        weights: (n,) >= 0.

    >>> merge_rows(np.array([7, 2, 7, 5]), np.array([1.0, 1.0, 0.5, 0.0]))
    (array([2, 7]), array([1. , 1.5]))
    """
    distinct, place = np.unique(rows, return_inverse=True)
    total = np.bincount(place, weights=weights)
    kept = total >= NEGLIGIBLE * total.max()
    return distinct[kept], total[kept]
