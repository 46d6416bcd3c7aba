"""What labelled comparisons say of a policy, made a block at a time: never all of it is held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.confidence import degrees_of_freedom
from mopo_pipeline.mopo.rows import Rows

BLOCK = 1 << 15
"""Comparisons worked on at a time: what is computed of them stays in cache, and small beside what is given."""


@dataclass(frozen=True)
class Pairs:
    """Comparisons as they were given, checked; views of the caller's arrays, which may lie in a file.

    Attributes:
        first, second: (M,) rows in the caller's order.
        labels: (M, K), NaN missing.
        predicted: (M, K), NaN where there is no model.
        weights: (M, K), >= 0.
        fold: (M,) fold of each comparison.
        annotator: (M,) who labelled it, -1 unknown.
        place: (N,) sorted row of each row of the caller, -1 out of reach; None where they agree.
        prompts: (n+1,) prompt of each sorted row; the last, of a row out of reach, is G.
    """

    first: Index
    second: Index
    labels: Array
    predicted: Array
    weights: Array
    fold: Index
    annotator: Index
    place: NDArray[np.int32] | None
    prompts: NDArray[np.int32]

    def placed(self, rows: Index) -> Index:
        """Sorted rows (m,) of rows (m,) of the caller, -1 out of reach."""
        return rows if self.place is None else self.place[rows].astype(np.int64)


@dataclass(frozen=True)
class Part:
    """Some of one objective's labelled comparisons.

    Attributes:
        first, second: (m,) sorted rows, -1 out of reach.
        labels: (m,) in [0, 1].
        predicted: (m,) of a model, NaN where there is none.
        mass: (m,) weights; those of all have sum 1, and every fold that has labels weighs alike.
        prompt: (m,) prompt of each comparison; G where none of its rows is in reach.
        fold: (m,) fold of each, 0 where there are none.
        annotator: (m,) who labelled it, -1 unknown.
    """

    first: Index
    second: Index
    labels: Array
    predicted: Array
    mass: Array
    prompt: Index
    fold: Index
    annotator: Index


@dataclass(frozen=True)
class Terms:
    """One objective's labelled comparisons, linear in a policy's ratio over the behaviour policy.

    ``f_c = left_c ratio[first_c] + right_c ratio[second_c]``, plus the prompt's own estimated value
    where ``beside_value`` says so; ratio and value are those of the comparison's fold.

    Attributes:
        objective: its column.
        pairs: all comparisons.
        folds: rows with the win rates of each fold.
        sampled: the rows of a prompt are a sample of its responses.
        count: labelled comparisons.
        per_weight: (J,) mass of a unit of weight in each fold.
        effective: comparisons that count, ``(sum w)² / sum w²``.
        freedom: degrees of freedom of a mean over the clusters of prompts.
        annotated: two annotators at least are known.
    """

    objective: int
    pairs: Pairs
    folds: tuple[Rows, ...]
    sampled: bool
    count: int
    per_weight: Array
    effective: float
    freedom: float
    annotated: bool

    @classmethod
    def build(
        cls, objective: int, pairs: Pairs, folds: tuple[Rows, ...], clusters: Index, sampled: bool
    ) -> Self | None:
        """Terms of an objective; None where the primary holds no label. ``clusters`` (G+1,) are of the prompts.

        Raises:
            InputError: a constrained objective without a label of positive weight.
        """
        each, count = np.zeros(len(folds)), 0
        who: set[int] = set()
        for here in slices(len(pairs.labels)):
            kept = _kept(pairs, objective, here)
            weights, fold = pairs.weights[here, objective][kept], pairs.fold[here][kept]
            each += np.bincount(fold, weights, len(folds))
            count += len(weights)
            if len(who) < 2:
                known = pairs.annotator[here][kept]
                who.update(np.unique(known[known >= 0])[:2].tolist())
        if not count:
            if objective == 0:
                return None
            raise InputError(
                f"comparisons.labels: column {objective} holds no label of positive weight"
            )
        per_weight = np.divide(
            1.0, each * (each > 0).sum(), out=np.zeros_like(each), where=each > 0
        )
        squares, of_cluster = 0.0, np.zeros(int(clusters.max()) + 1)
        for here in slices(len(pairs.labels)):
            kept = _kept(pairs, objective, here)
            mass = pairs.weights[here, objective][kept] * per_weight[pairs.fold[here][kept]]
            squares += float(mass @ mass)
            np.add.at(of_cluster, clusters[_placed(pairs, here, kept)[2]], mass)
        freedom = degrees_of_freedom(of_cluster[of_cluster > 0])
        return cls(
            objective,
            pairs,
            folds,
            sampled,
            count,
            per_weight,
            1.0 / squares,
            freedom,
            len(who) > 1,
        )

    def blocks(self) -> Iterator[tuple[slice, Part]]:
        """Yield (where among the labelled ones, those), block by block in the caller's order."""
        done = 0
        for here in slices(len(self.pairs.labels)):
            part = self.part(here)
            yield slice(done, done + len(part.mass)), part
            done += len(part.mass)

    def part(self, here: slice = slice(None)) -> Part:
        """The labelled ones of some comparisons."""
        pairs, k = self.pairs, self.objective
        kept = _kept(pairs, k, here)
        fold = pairs.fold[here][kept]
        first, second, prompt = _placed(pairs, here, kept)
        return Part(
            first,
            second,
            pairs.labels[here, k][kept],
            pairs.predicted[here, k][kept],
            pairs.weights[here, k][kept] * self.per_weight[fold],
            prompt,
            fold,
            pairs.annotator[here][kept],
        )

    def coefficients(self, part: Part) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Left and right (m,), 0 for a row out of every policy's reach, and ``beside_value`` (m,)."""
        modelled = ~np.isnan(part.predicted)
        surprise = np.where(modelled, part.labels - part.predicted, 0.0)
        own = np.zeros((2, 1))
        if not self.sampled:
            tables = [rows.columns[self.objective] for rows in self.folds]
            own = np.stack([of_fold(tables, part.fold, i) for i in (part.first, part.second)])
        left = np.where(modelled, 0.5 * (own[0] + surprise), 0.5 * part.labels)
        right = np.where(modelled, 0.5 * (own[1] - surprise), 0.5 * (1 - part.labels))
        reached = (part.first >= 0) | (part.second >= 0)
        return (
            np.where(part.first >= 0, left, 0.0),
            np.where(part.second >= 0, right, 0.0),
            modelled & self.sampled & reached,
        )


def of_fold(tables: Sequence[Array] | Array, fold: Index, index: Index) -> Array:
    """Numbers (m,) of tables, (n,) of each fold, at an index (m,) in the table of a fold (m,)."""
    if len(tables) == 1:
        return np.asarray(tables[0][index])
    found = np.empty(len(index))
    for j, table in enumerate(tables):
        here = fold == j
        found[here] = table[index[here]]
    return found


def slices(count: int) -> Iterator[slice]:
    """Blocks of so many comparisons."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def _kept(pairs: Pairs, k: int, here: slice) -> NDArray[np.bool_] | slice:
    """Which of some comparisons (m,) have a label of objective k; all of them as a slice."""
    kept = ~np.isnan(pairs.labels[here, k]) & (pairs.weights[here, k] > 0)
    return slice(None) if kept.all() else kept


def _placed(
    pairs: Pairs, here: slice, kept: NDArray[np.bool_] | slice
) -> tuple[Index, Index, Index]:
    """Sorted rows and prompts (m,) of comparisons."""
    first, second = pairs.placed(pairs.first[here][kept]), pairs.placed(pairs.second[here][kept])
    reached = first if pairs.place is None else np.where(first >= 0, first, second)
    return first, second, pairs.prompts[reached].astype(np.int64)
