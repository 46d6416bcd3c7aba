"""Rows sorted by prompt, so that every sum over a prompt's responses is one grouped sum."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.checks import check_groups, check_mass, check_win_rates

CHUNK = 1 << 15
"""Rows worked on at a time: small enough that intermediate arrays stay in cache."""


@dataclass(frozen=True)
class Rows:
    """Rows of positive reference mass, sorted by prompt.

    Attributes:
        columns: (K, n) win rates, one contiguous row per objective; the caller's own where they lie that way in order.
        mass: (n,) reference mass, sum 1. A prompt weighs what its rows weigh together.
        starts: (G,) first row of each prompt.
        counts: (G,) rows of each prompt.
        group_mass: (G,) mass of each prompt, sum 1.
        order: (n,) position of each sorted row in the caller's arrays; None where they agree.
        n_rows: length N of the caller's arrays.
    """

    columns: Array
    mass: Array
    starts: Index
    counts: Index
    group_mass: Array
    order: Index | None
    n_rows: int

    @property
    def n_objectives(self) -> int:
        """K."""
        return int(self.columns.shape[0])

    @property
    def places(self) -> NDArray[np.int32] | None:
        """(N,) sorted row of each of the caller's rows, -1 where the reference has no mass; None where they agree."""
        if self.order is None:
            return None
        places = np.full(self.n_rows, -1, dtype=np.int32)
        places[self.order] = np.arange(len(self.order), dtype=np.int32)
        return places

    @property
    def prompts(self) -> NDArray[np.int32]:
        """(n+1,) prompt of each sorted row, and G for one more that is none of them."""
        return np.repeat(np.arange(len(self.starts) + 1, dtype=np.int32), np.append(self.counts, 1))

    def chunks(self) -> Iterator[tuple[slice, slice, Index]]:
        """Yield (row slice, prompt slice, starts (g,) of its g prompts within the slice), whole prompts only."""
        ends = self.starts + self.counts
        first = 0
        while first < len(self.starts):
            begin = self.starts[first]
            last = max(first + 1, int(np.searchsorted(ends, begin + CHUNK, side="right")))
            yield slice(begin, ends[last - 1]), slice(first, last), self.starts[first:last] - begin
            first = last

    def parts(self) -> Iterator[tuple[slice, slice, "Rows"]]:
        """Yield (row slice, prompt slice, those rows), views of whole prompts only; masses stay as they are."""
        for here, groups, starts in self.chunks():
            yield (
                here,
                groups,
                Rows(
                    self.columns[:, here],
                    self.mass[here],
                    starts,
                    self.counts[groups],
                    self.group_mass[groups],
                    None,
                    here.stop - here.start,
                ),
            )

    def spread(self, per_group: NDArray[Any]) -> NDArray[Any]:
        """Repeat one number per prompt for each of its rows: (G,) to (n,)."""
        return np.repeat(per_group, self.counts)

    def restore(self, values: Array) -> Array:
        """Sorted rows back in the caller's order, 0 where the reference has no mass: (n,) to (N,)."""
        if self.order is None:
            return values.copy()
        result = np.zeros(self.n_rows)
        result[self.order] = values
        return result

    def take(self, values: Array) -> Array:
        """The caller's rows in sorted order: (N,) to (n,)."""
        return values if self.order is None else values[self.order]


def build_rows(
    win_rates: ArrayLike, reference: ArrayLike | None = None, groups: ArrayLike | None = None
) -> Rows:
    """Check the arrays and sort them by prompt once.

    Args:
        win_rates: (N, K) in [0, 1].
        reference: (N,) mass >= 0, uniform if None; normalised over all rows.
        groups: (N,) integer prompt ids; None is one prompt.
    """
    values = check_win_rates(win_rates)
    n_rows = len(values)
    mass = check_mass("reference", reference, n_rows)
    ids = check_groups(groups, n_rows)
    order = None
    positive = mass > 0
    if not positive.all():
        order = np.flatnonzero(positive)
        ids, mass = ids[order], mass[order]
    if (ids[1:] < ids[:-1]).any():
        permutation = np.argsort(ids, kind="stable")
        order = permutation if order is None else order[permutation]
        ids, mass = ids[permutation], mass[permutation]
    columns = values.T if order is None else np.take(values.T, order, axis=1)
    columns = np.ascontiguousarray(columns)
    starts = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1]).astype(np.int64)
    counts = np.diff(np.append(starts, len(ids)))
    return Rows(columns, mass, starts, counts, np.add.reduceat(mass, starts), order, n_rows)


def alike(groups: ArrayLike) -> Array:
    """Mass (N,) under which prompts weigh alike, however many rows each has, of N rows by their prompts (N,); sum 1.

    >>> alike([0, 1, 1]).tolist()
    [0.5, 0.25, 0.25]
    """
    codes, counts = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    return np.asarray(1.0 / (len(counts) * counts[codes]))


def subsample(rows: Rows, n_rows: int) -> Rows:
    """About ``n_rows`` rows of evenly spaced prompts, mass renormalised."""
    step = max(1, len(rows.mass) // n_rows)
    chosen = np.arange(0, len(rows.starts), step)
    counts = rows.counts[chosen]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    index = np.repeat(rows.starts[chosen] - starts, counts) + np.arange(counts.sum())
    mass = rows.mass[index]
    mass = mass / mass.sum()
    return Rows(
        np.ascontiguousarray(rows.columns[:, index]),
        mass,
        starts,
        counts,
        np.add.reduceat(mass, starts),
        None,
        len(index),
    )
