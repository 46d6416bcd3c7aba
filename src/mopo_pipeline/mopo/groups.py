"""Rows grouped by prompt: one sort, then every grouped sum and maximum is a single pass."""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.mopo.validation import Array, Indices


@dataclass(frozen=True)
class Problem:
    """Rows of positive mass, sorted by prompt.

    Attributes:
        scores: (n, K) win rates, column 0 the primary.
        mass: (n,) reference mass, summing to 1.
        starts: (G,) first row of each prompt.
        sizes: (G,) responses per prompt.
        prompt_mass: (G,) mass of each prompt.
        rows: (n,) positions in the caller's arrays.
        n_rows: length of the caller's arrays.
        pooling: kappa, pseudo-responses of the pooled normaliser lent to each prompt.
    """

    scores: Array
    mass: Array
    starts: Indices
    sizes: Indices
    prompt_mass: Array
    rows: Indices
    n_rows: int
    pooling: float

    @classmethod
    def build(cls, scores: Array, mass: Array, groups: Indices, pooling: float) -> "Problem":
        """Drop rows without mass, bring the rest into prompt order."""
        if np.isinf(pooling):
            groups, pooling = np.zeros_like(groups), 0.0
        rows = np.flatnonzero(mass > 0)
        kept = groups[rows]
        if (np.diff(kept) < 0).any():
            rows = rows[np.argsort(kept, kind="stable")]
            kept = groups[rows]
        starts = np.flatnonzero(np.r_[True, np.diff(kept) != 0])
        if rows.size == scores.shape[0] and (np.diff(rows) == 1).all():
            sorted_scores, sorted_mass = scores, mass
        else:
            sorted_scores, sorted_mass = scores[rows], mass[rows]
        return cls(
            scores=sorted_scores,
            mass=sorted_mass,
            starts=starts,
            sizes=np.diff(np.r_[starts, rows.size]),
            prompt_mass=np.add.reduceat(sorted_mass, starts),
            rows=rows,
            n_rows=scores.shape[0],
            pooling=float(pooling),
        )

    def with_scores(self, scores: Array) -> "Problem":
        """The same rows with other scores, already in prompt order."""
        return Problem(
            scores, self.mass, self.starts, self.sizes, self.prompt_mass, self.rows, self.n_rows, self.pooling
        )

    def spread(self, per_prompt: Array) -> Array:
        """Repeat a value per prompt over its rows, (G,) to (n,)."""
        return np.repeat(per_prompt, self.sizes)

    def sum(self, per_row: Array) -> Array:
        """Sum rows within each prompt, (n,) to (G,)."""
        return np.add.reduceat(per_row, self.starts)

    def max(self, per_row: Array) -> Array:
        """Maximum within each prompt, (n,) to (G,)."""
        return np.maximum.reduceat(per_row, self.starts)

    def to_caller(self, per_row: Array) -> Array:
        """Put rows back in the caller's order; rows without mass get 0."""
        full = np.zeros(self.n_rows)
        full[self.rows] = per_row
        return full
