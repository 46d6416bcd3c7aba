"""Which rows a training step sees: importance resampling in blocks, batches of similar length."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

BLOCK_BATCHES = 4


def systematic_resample(
    weights: NDArray[np.float64], size: int, rng: np.random.Generator
) -> Indices:
    """Draw ``size`` rows in proportion to weight, each within one of its expected count.

    A row of weight 0 is never drawn. The expected count of row i is size * w_i / sum(w).

    >>> systematic_resample(np.array([0.0, 1.0, 3.0]), 4, np.random.default_rng(0)).tolist()
    [1, 2, 2, 2]
    """
    edges = np.cumsum(weights)
    points = (rng.random() + np.arange(size)) * (edges[-1] / size)
    return np.minimum(np.searchsorted(edges, points, side="right"), len(weights) - 1)


class RowSchedule:
    """Rows by position in the run, a pure function of seed, position and the current weights.

    Positions fall into blocks of ``BLOCK_BATCHES`` batches. A block draws its rows (in proportion
    to weight, or uniformly where the loss carries the weight), sorts them by length, cuts them
    into batches and shuffles these.
    """

    def __init__(self, lengths: Indices, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self._weights: NDArray[np.float64] = np.ones(len(lengths))
        self._order: dict[int, Indices] = {}

    def reset(self, lengths: Indices, weights: NDArray[np.float64]) -> None:
        """Take new rows or weights from the next position asked for."""
        self.lengths, self._weights = lengths, weights
        self._order = {}

    def rows(self, positions: Indices) -> Indices:
        """Row of each position."""
        size = self.batch_size * BLOCK_BATCHES
        return np.array(
            [self._block(int(p) // size)[int(p) % size] for p in positions], dtype=np.int64
        )

    def _block(self, block: int) -> Indices:
        if block not in self._order:
            rng = np.random.default_rng([self.seed, 7, block])
            drawn = systematic_resample(self._weights, self.batch_size * BLOCK_BATCHES, rng)
            drawn = rng.permutation(drawn)
            batches = drawn[np.argsort(self.lengths[drawn], kind="stable")].reshape(
                -1, self.batch_size
            )
            self._order = {block: rng.permutation(batches).reshape(-1)}
        return self._order[block]
