"""Labelled comparisons as an estimate of a policy's win rates (method.md, section 4, setting 2)."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.checks import check_win_rates, unit_interval
from mopo_pipeline.mopo.rows import Rows
from mopo_pipeline.mopo.terms import Pairs, Terms


@dataclass(frozen=True)
class Comparisons:
    """Labelled pairs of rows.

    Attributes:
        first: (M,) row of one response of each pair.
        second: (M,) row of the other.
        labels: (M, K) in [0, 1]: 1 first wins, 0 second wins, 0.5 tie, NaN missing.
        predicted: (M, K) a model's probability that first wins, from a fit that did not see the
            label; NaN where it has none. None: no model.
        weights: (M,), or (M, K) where objectives differ, >= 0; None is uniform.
        folds: (M,) fold 0 to J-1 of each comparison, where its label also went into the win rates.
        fold_win_rates: (J, N, K) win rates of the rows without the labels of each fold. A fold's
            comparisons are held against the policy of these, and what is planned is the mixture of
            the J policies. Given with ``folds`` or not at all.
        annotators: (M,) number of who labelled each comparison, -1 unknown; None: nobody is known.
        clusters: (N,) integers: rows whose prompts were drawn as one, such as those of one document.
            None: every prompt was drawn by itself.
    """

    first: ArrayLike
    second: ArrayLike
    labels: ArrayLike
    predicted: ArrayLike | None = None
    weights: ArrayLike | None = None
    folds: ArrayLike | None = None
    fold_win_rates: ArrayLike | None = None
    annotators: ArrayLike | None = None
    clusters: ArrayLike | None = None


@dataclass(frozen=True)
class CompiledComparisons:
    """Comparisons checked against rows: terms per objective, None where it has no label.

    With a model's probability p the doubly robust term of a comparison (i, j, I) is
    ``f = (ratio_i s_i + ratio_j s_j)/2 + (ratio_i - ratio_j)(I - p)/2``; without one it is
    ``f = (ratio_i I + ratio_j (1 - I))/2``. Both are linear in the ratio, and both have the
    policy's win rate as their mean when the pairs are drawn from the policy the ratio is over.
    Where rows are a sample, the first part is the prompt's value over all its rows.

    Attributes:
        terms: per objective.
        folds: the rows with the win rates of each fold; the rows as they are where there are none.
        clusters: (G+1,) what each prompt was drawn with, from 0; the last is that of no prompt in reach.
    """

    terms: tuple[Terms | None, ...]
    folds: tuple[Rows, ...]
    clusters: Index

    @classmethod
    def build(cls, comparisons: Comparisons, rows: Rows, sampled: bool) -> Self:
        """Check shapes and ranges and drop missing labels, objective by objective.

        Args:
            comparisons: as the caller gave them.
            rows: sorted rows.
            sampled: the rows of a prompt are a sample of its responses.

        Raises:
            InputError: wrong shapes or ranges, or a constrained objective without a label of
                positive weight.
        """
        labels = _matrix("comparisons.labels", comparisons.labels, None, rows.n_objectives)
        count = len(labels)
        first = _index("comparisons.first", comparisons.first, count, rows.n_rows)
        second = _index("comparisons.second", comparisons.second, count, rows.n_rows)
        predicted = np.broadcast_to(np.nan, labels.shape)
        if comparisons.predicted is not None:
            predicted = _matrix(
                "comparisons.predicted", comparisons.predicted, count, rows.n_objectives
            )
        fold, folds = _folds(comparisons, rows, count)
        pairs = Pairs(
            first,
            second,
            labels,
            predicted,
            check_weights(comparisons.weights, labels.shape),
            fold,
            _annotators(comparisons.annotators, count),
            rows.places,
            rows.prompts,
        )
        clusters = _clusters(comparisons.clusters, rows)
        terms = (Terms.build(k, pairs, folds, clusters, sampled) for k in range(rows.n_objectives))
        return cls(tuple(terms), folds, clusters)


def _annotators(value: ArrayLike | None, count: int) -> Index:
    """Who labelled each comparison, (M,); -1 unknown."""
    if value is None:
        return np.broadcast_to(np.int64(-1), count)
    array = np.asarray(value)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(
            f"comparisons.annotators must be {count} integers, -1 where nobody is known, got shape {array.shape}, "
            f"dtype {array.dtype}"
        )
    return array.astype(np.int64, copy=False)


def _folds(comparisons: Comparisons, rows: Rows, count: int) -> tuple[Index, tuple[Rows, ...]]:
    """Fold (M,) of each comparison, and the rows with the win rates of each fold."""
    if comparisons.folds is None and comparisons.fold_win_rates is None:
        return np.broadcast_to(np.int64(0), count), (rows,)
    if comparisons.folds is None or comparisons.fold_win_rates is None:
        raise InputError("comparisons.folds and comparisons.fold_win_rates are given together")
    tables = np.asarray(comparisons.fold_win_rates, dtype=np.float64)
    expected = ("J", rows.n_rows, rows.n_objectives)
    if tables.ndim != 3 or tables.shape[1:] != expected[1:] or not len(tables):
        raise InputError(
            f"comparisons.fold_win_rates must have shape {expected}, got {tables.shape}"
        )
    folds = _index("comparisons.folds", comparisons.folds, count, len(tables), "folds")
    return folds, tuple(
        replace(rows, columns=np.stack([rows.take(column) for column in check_win_rates(table).T]))
        for table in tables
    )


def _clusters(given: ArrayLike | None, rows: Rows) -> Index:
    """Cluster (G+1,) of each prompt, and one more for none, from those of the rows (N,)."""
    prompts = len(rows.starts)
    if given is None:
        return np.arange(prompts + 1)
    array = np.asarray(given)
    if array.shape != (rows.n_rows,) or array.dtype.kind not in "iu":
        raise InputError(
            f"comparisons.clusters must be {rows.n_rows} integers, got shape {array.shape}, dtype {array.dtype}"
        )
    codes = np.unique(array if rows.order is None else array[rows.order], return_inverse=True)[1]
    of_prompt = codes[rows.starts]
    if (rows.spread(of_prompt) != codes).any():
        raise InputError("comparisons.clusters: the rows of one prompt lie in two clusters")
    return np.append(of_prompt, codes.max() + 1)


def check_weights(value: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """Weights (M, K) >= 0 from (M,), (M, K) or None, which is uniform; a view, to be read alone."""
    if value is None:
        return np.broadcast_to(1.0, shape)
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in (shape[:1], shape):
        raise InputError(
            f"comparisons.weights must have shape {shape[:1]} or {shape}, got {array.shape}"
        )
    table = np.broadcast_to(array[:, None] if array.ndim == 1 else array, shape)
    wrong = ~np.isfinite(table) | (table < 0)
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"comparisons.weights must be finite and >= 0, got {table[row, column]:g} at row {row}, "
            f"column {column}"
        )
    return table


def _matrix(name: str, value: ArrayLike, count: int | None, n_objectives: int) -> Array:
    """Labels or their probabilities (M, K) in [0, 1], NaN allowed."""
    array = np.asarray(value, dtype=np.float64)
    expected = ("M" if count is None else count, n_objectives)
    if array.ndim != 2 or array.shape[1] != n_objectives or count not in (None, len(array)):
        raise InputError(f"{name} must have shape {expected}, got {array.shape}")
    if len(array) == 0:
        raise InputError(f"{name} holds no comparison; pass comparisons=None where there is none")
    if np.isinf(array).any():
        raise InputError(f"{name} must not be infinite (NaN marks a missing label)")
    unit_interval(name, array)
    return array


def _index(
    name: str, value: ArrayLike, count: int, size: int, what: str = "rows of win_rates"
) -> Index:
    """Indices (M,) of ``what``, checked."""
    array = np.asarray(value)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be {count} integer indices, got shape {array.shape}, dtype {array.dtype}"
        )
    outside = (array < 0) | (array >= size)
    if outside.any():
        where = int(np.argmax(outside))
        raise InputError(f"{name} must index the {size} {what}, got {array[where]} at {where}")
    return array.astype(np.int64, copy=False)
