"""Which rows a training step sees: importance resampling in blocks, by length or by prompt."""

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Index
from mopo_pipeline.streams import Stream, generator

BLOCK_BATCHES = 4

MIN_PROMPTS = 4

PROMPT_CORRELATION = 0.1
"""Correlation of the gradients of two responses to one prompt; see docs/decisions/0007."""


def systematic_resample(weights: NDArray[np.float64], size: int, rng: np.random.Generator) -> Index:
    """Draw ``size`` rows in proportion to weight, each within one of its expected count.

    A row of weight 0 is never drawn. The expected count of row i is size * w_i / sum(w).

    >>> systematic_resample(np.array([0.0, 1.0, 3.0]), 4, np.random.default_rng(0)).tolist()
    [1, 2, 2, 2]
    """
    edges = np.cumsum(weights)
    points = (rng.random() + np.arange(size)) * (edges[-1] / size)
    places = np.searchsorted(edges, points, side="right")
    return np.asarray(np.minimum(places, len(weights) - 1), dtype=np.int64)


def responses_together(
    prompts: Index,
    prompt_lengths: Index,
    response_lengths: Index,
    weights: NDArray[np.float64],
    batch_size: int,
) -> int:
    """How many draws of a batch should fall on one prompt, where its tokens are computed once.

    Cluster sampling: m draws from a prompt cost P + mR tokens and are correlated by r, so the
    variance bought per token is least at m = sqrt(P/R (1-r)/r). A batch keeps at least
    ``MIN_PROMPTS`` prompts, a prompt gets no more draws than it has effective responses, and m
    divides the batch.

    Args:
        prompts: (n,) prompt of each row.
        prompt_lengths: (n,) tokens.
        response_lengths: (n,) tokens.
        weights: (n,) row weights.
        batch_size: rows drawn per step.

    >>> rows = np.repeat(np.arange(10), 6)
    >>> responses_together(rows, 0 * rows + 128, 0 * rows + 32, np.ones(60), 24)
    6
    >>> responses_together(rows, 0 * rows + 10, 0 * rows + 30, np.ones(60), 24)
    2
    """
    share = weights / weights.sum()
    ratio = float(share @ prompt_lengths) / float(share @ response_lengths)
    mass, square = np.bincount(prompts, share), np.bincount(prompts, share**2)
    effective = float(mass[mass > 0] @ (mass[mass > 0] ** 2 / square[mass > 0]))
    best = np.sqrt(ratio * (1 - PROMPT_CORRELATION) / PROMPT_CORRELATION)
    limit = max(1, int(min(round(best), round(effective), batch_size // MIN_PROMPTS)))
    return max(m for m in range(1, limit + 1) if batch_size % m == 0)


class RowSchedule:
    """Rows by position in the run, a pure function of seed, position and the current weights (n,).

    Positions fall into blocks of ``BLOCK_BATCHES`` batches. A block draws its rows (in proportion
    to weight, or uniformly where the loss carries the weight), sorts them by length, cuts them
    into batches and shuffles these. Where prompts are shared, a block draws prompts first and
    several rows of each, which stay side by side: every row is as likely as before.
    """

    def __init__(self, lengths: Index, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self._weights: NDArray[np.float64] = np.ones(len(lengths))
        self._prompts: Index = np.arange(len(lengths))
        self._together = 1
        self._order: dict[int, Index] = {}

    def reset(
        self,
        lengths: Index,
        weights: NDArray[np.float64],
        prompts: Index | None = None,
        together: int = 1,
    ) -> None:
        """Take new rows or weights from the next position asked for.

        Args:
            lengths: (n,) tokens.
            weights: (n,) probability of a draw, up to scale.
            prompts: (n,) prompt of each row, needed with ``together``.
            together: rows drawn from one prompt at a time; divides the batch.
        """
        self.lengths, self._weights, self._together = lengths, weights, together
        self._prompts = np.arange(len(lengths)) if prompts is None else prompts
        self._order = {}

    def rows(self, positions: Index) -> Index:
        """Row (m,) of each position (m,)."""
        size = self.batch_size * BLOCK_BATCHES
        return np.array(
            [self._block(int(p) // size)[int(p) % size] for p in positions], dtype=np.int64
        )

    def _block(self, block: int) -> Index:
        """Rows (batch_size * BLOCK_BATCHES,) of a block; the last one asked for is kept."""
        if block not in self._order:
            rng = generator(self.seed, Stream.ROWS, block)
            size = self.batch_size * BLOCK_BATCHES
            if self._together > 1:
                drawn = prompt_resample(self._weights, self._prompts, self._together, size, rng)
                self._order = {block: drawn}
            else:
                drawn = rng.permutation(systematic_resample(self._weights, size, rng))
                batches = drawn[np.argsort(self.lengths[drawn], kind="stable")].reshape(
                    -1, self.batch_size
                )
                self._order = {block: rng.permutation(batches).reshape(-1)}
        return self._order[block]


def prompt_resample(
    weights: NDArray[np.float64],
    prompts: Index,
    together: int,
    size: int,
    rng: np.random.Generator,
) -> Index:
    """Draw ``size / together`` prompts in proportion to their rows' weight, ``together`` rows of each.

    The expected count of row i is size * w_i / sum(w), as without prompts. Rows of one draw of a
    prompt stand side by side, the draws in random order.

    >>> rng = np.random.default_rng(0)
    >>> prompt_resample(np.ones(6), np.array([0, 0, 0, 1, 1, 1]), 3, 6, rng).tolist()
    [2, 1, 0, 4, 5, 3]
    """
    order = np.argsort(prompts, kind="stable")
    mass = np.asarray(np.bincount(prompts, weights), dtype=np.float64)
    ends = np.cumsum(np.bincount(prompts, minlength=len(mass)))
    draws = []
    drawn = systematic_resample(mass, size // together, rng)
    chosen, counts = np.unique(drawn, return_counts=True)
    for prompt, count in zip(chosen, counts, strict=True):
        rows = order[ends[prompt - 1] if prompt else 0 : ends[prompt]]
        picked = systematic_resample(weights[rows], together * int(count), rng)
        draws.append(rng.permutation(rows[picked]).reshape(count, together))
    return rng.permutation(np.concatenate(draws)).reshape(-1)
