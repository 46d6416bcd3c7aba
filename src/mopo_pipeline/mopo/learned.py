"""The policy that weighted cloning learns, estimated from few responses (method.md, section 2).

Weights ``exp(u)/Z`` teach ``pi(y|x) ∝ mu(y|x) exp(u(x, y))`` whatever ``Z(x)`` is. Its win rate at a
prompt, ``E_mu[exp(u) s] / E_mu[exp(u)]``, taken from the prompt's own n responses as a ratio R_n of
sums, is biased towards the reference. The jackknife over responses removes the leading terms of the
bias: ``n R_n - (n-1) R_{n-1}``, and to second order
``(n² R_n - 2 (n-1)² R_{n-1} + (n-2)² R_{n-2}) / 2``, where R_m is the mean over all subsets of m
responses. The first errs towards the reference where objectives conflict, the second beyond the truth
where a policy follows one bounded objective almost wholly; with three to sixteen responses a mean of
both is taken. All are linear in the win rates, so they amount to weights of the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.checks import finite_array
from mopo_pipeline.mopo.rows import Rows, build_rows

SECOND_ORDER = 16
"""Most responses per prompt for which pairs are left out too; with more the bias is negligible."""

SECOND_SHARE = 2 / 3
"""Share of the second-order estimate in the mean of both (measured: ``make bench-pooling``)."""

BLOCK = 1 << 20
"""Pairs of responses worked on at a time."""

_LEAST = 1e-280

NEGLIGIBLE = 40.0
"""Nats: a part so much smaller than another adds nothing to it in double precision."""


def jackknifed_shares(rows: Rows, exponent: Array) -> Array:
    """What each row counts for in its prompt's estimated win rate.

    Args:
        rows: sorted rows; their mass within a prompt is what each draw stands for.
        exponent: (n,) log of the target over the reference, up to a constant per prompt.

    Returns:
        (n,) shares, sum 1 in each prompt. They are no probabilities: removing the bias makes some
        slightly negative. A prompt with one response has share 1, with two the first-order
        jackknife.
    """
    shares = np.empty(len(rows.mass))
    weighted = exponent + np.log(rows.mass)
    for places in _blocks(rows.starts, rows.counts):
        part = weighted[places]
        shares[places] = _shares(np.exp(_drawn_together(part - part.max(axis=1, keepdims=True))))
    return shares


def learned_values(exponent: ArrayLike, win_rates: ArrayLike, groups: ArrayLike) -> Array:
    """Win rates (K,) of the policy proportional to ``exp(exponent)`` times the one that drew the rows.

    Args:
        exponent: (N,) log of the target over the behaviour policy, up to a constant per prompt.
        win_rates: (N, K) in [0, 1] of the rows, a sample of each prompt's responses.
        groups: (N,) integer prompt ids; a prompt counts by its rows.
    """
    rows = build_rows(win_rates, None, groups)
    shares = jackknifed_shares(rows, rows.take(finite_array("exponent", exponent, 1)))
    return np.asarray(np.add.reduceat(rows.columns * shares, rows.starts, axis=1) @ rows.group_mass)


@dataclass(frozen=True)
class _Rest:
    """Sums over a prompt's responses but one or two; those without the largest are taken directly."""

    parts: Array
    total: Array
    top: Index
    without_top: Array
    second: Index
    without_both: Array

    @classmethod
    def of(cls, parts: Array) -> "_Rest":
        """Sums of parts (P, n), P prompts of n responses each."""
        line = np.arange(len(parts))
        top = parts.argmax(axis=1)
        others = parts.copy()
        others[line, top] = 0.0
        second = others.argmax(axis=1)
        rest = others.copy()
        rest[line, second] = 0.0
        return cls(parts, parts.sum(axis=1), top, others.sum(axis=1), second, rest.sum(axis=1))

    def sums_without_one(self) -> Array:
        """(P, n) for response i: sum over j other than i of one over the total without j."""
        line = np.arange(len(self.parts))
        left = self.total[:, None] - self.parts
        left[line, self.top] = self.without_top
        inverse = 1.0 / left
        sums = inverse.sum(axis=1, keepdims=True) - inverse
        inverse[line, self.top] = 0.0
        sums[line, self.top] = inverse.sum(axis=1)
        return np.asarray(sums)

    def sums_without_two(self) -> Array:
        """(P, n) for response i: sum over pairs j < l without i of one over the total without both."""
        line, diagonal = np.arange(len(self.parts)), np.arange(self.parts.shape[1])
        left = self.total[:, None, None] - self.parts[:, :, None] - self.parts[:, None, :]
        beside_top = self.without_top[:, None] - self.parts
        beside_top[line, self.second] = self.without_both
        left[line, self.top, :] = beside_top
        left[line, :, self.top] = beside_top
        left[:, diagonal, diagonal] = np.inf
        inverse = 1.0 / left
        of_one = inverse.sum(axis=2)
        sums = 0.5 * of_one.sum(axis=1, keepdims=True) - of_one
        for large in (self.top, self.second):
            kept = inverse.copy()
            kept[line, large, :] = 0.0
            kept[line, :, large] = 0.0
            sums[line, large] = 0.5 * kept.sum(axis=(1, 2))
        return np.asarray(sums)


def _drawn_together(logs: Array) -> Array:
    """Log parts (P, n), greatest 0, of which no two neighbours lie further apart than ``NEGLIGIBLE``.

    Nothing changes by it but what would vanish: with the likeliest responses left out, the next one still stands far
    above the rest, where all would be the same had they become too small for a number.
    """
    far = np.flatnonzero(logs.min(axis=1) < -NEGLIGIBLE)
    if not far.size:
        return logs
    order = np.argsort(-logs[far], axis=1, kind="stable")
    gaps = -np.diff(np.take_along_axis(logs[far], order, axis=1), axis=1)
    apart = (gaps > NEGLIGIBLE).any(axis=1)
    levels = np.zeros((int(apart.sum()), logs.shape[1]))
    levels[:, 1:] = -np.cumsum(np.minimum(gaps[apart], NEGLIGIBLE), axis=1)
    found, moved = logs.copy(), np.empty_like(levels)
    np.put_along_axis(moved, order[apart], levels, axis=1)
    found[far[apart]] = moved
    return found


def _shares(parts: Array) -> Array:
    """Jackknifed shares (P, n) of prompts with n responses each; ``parts`` have maximum 1."""
    n = parts.shape[1]
    if n == 1:
        return np.ones_like(parts)
    parts = np.maximum(parts, _LEAST)
    rest = _Rest.of(parts)
    whole = parts / rest.total[:, None]
    one_out = parts * rest.sums_without_one() / n
    if n == 2 or n > SECOND_ORDER:
        return np.asarray(n * whole - (n - 1) * one_out)
    two_out = parts * rest.sums_without_two() / (0.5 * n * (n - 1))
    first = n * whole - (n - 1) * one_out
    second = 0.5 * (n**2 * whole - 2 * (n - 1) ** 2 * one_out + (n - 2) ** 2 * two_out)
    return np.asarray(first + SECOND_SHARE * (second - first))


def _blocks(starts: Index, counts: Index) -> Iterator[Index]:
    """Positions (P, n) of the rows of prompts with equally many responses, in blocks."""
    for n in np.unique(counts):
        chosen = starts[counts == n]
        size = max(1, BLOCK // int(min(n, SECOND_ORDER) * n))
        for first in range(0, len(chosen), size):
            yield chosen[first : first + size, None] + np.arange(n)
