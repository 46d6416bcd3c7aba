"""Labelled comparisons as an estimate of a policy's win rates (method.md, section 4, setting 2)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.bound import LowerBound, bound_mean
from mopo_pipeline.mopo.checks import check_mass, unit_interval
from mopo_pipeline.mopo.rows import Rows

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Comparisons:
    """Labelled pairs of rows.

    Attributes:
        first: (M,) row of one response of each pair.
        second: (M,) row of the other.
        labels: (M, K) in [0, 1]: 1 first wins, 0 second wins, 0.5 tie, NaN missing.
        predicted: (M, K) a model's probability that first wins, from a fit that did not see the
            label; NaN where it has none. None: no model.
        weights: (M,) >= 0; None is uniform.
    """

    first: ArrayLike
    second: ArrayLike
    labels: ArrayLike
    predicted: ArrayLike | None = None
    weights: ArrayLike | None = None


@dataclass(frozen=True)
class _Terms:
    """One objective: ``f_c = left_c ratio[first_c] + right_c ratio[second_c]``."""

    first: Index
    second: Index
    left: Array
    right: Array
    mass: Array


@dataclass(frozen=True)
class CompiledComparisons:
    """Comparisons checked against rows, one set of terms per constrained objective.

    With a model's probability p the doubly robust term of a comparison (i, j, I) is
    ``f = (ratio_i s_i + ratio_j s_j)/2 + (ratio_i - ratio_j)(I - p)/2``; without one it is
    ``f = (ratio_i I + ratio_j (1 - I))/2``. Both are linear in the ratio, and both have the
    policy's win rate as their mean when the pairs are drawn from the reference.
    """

    terms: tuple[_Terms, ...]

    @classmethod
    def build(cls, comparisons: Comparisons, rows: Rows) -> Self:
        """Check shapes and ranges and drop missing labels, objective by objective."""
        labels = _matrix("comparisons.labels", comparisons.labels, None, rows.n_objectives)
        count = len(labels)
        first = _index("comparisons.first", comparisons.first, count, rows.n_rows)
        second = _index("comparisons.second", comparisons.second, count, rows.n_rows)
        if comparisons.predicted is None:
            predicted = np.full(labels.shape, np.nan)
        else:
            predicted = _matrix(
                "comparisons.predicted", comparisons.predicted, count, rows.n_objectives
            )
        mass = check_mass("comparisons.weights", comparisons.weights, count)
        place = np.full(rows.n_rows, -1)
        place[np.arange(rows.n_rows) if rows.order is None else rows.order] = np.arange(
            len(rows.mass)
        )
        first, second = place[first], place[second]
        return cls(
            tuple(
                _terms(k, first, second, labels[:, k], predicted[:, k], mass, rows.columns[k])
                for k in range(1, rows.n_objectives)
            )
        )

    def bounds(self, ratio: Array, epsilon: Array) -> list[LowerBound]:
        """Lower bound of each constrained objective at a ratio over sorted rows, (n,)."""
        return [
            bound_mean(t.left * ratio[t.first] + t.right * ratio[t.second], t.mass, radius)
            for t, radius in zip(self.terms, epsilon, strict=True)
        ]

    def gradients(self, bounds: list[LowerBound], n_rows: int) -> Array:
        """Derivative of each bound with respect to the ratio of each sorted row, (K-1, n)."""
        return np.array(
            [
                np.bincount(t.first, bound.weights * t.left, n_rows)
                + np.bincount(t.second, bound.weights * t.right, n_rows)
                for t, bound in zip(self.terms, bounds, strict=True)
            ]
        ).reshape(len(self.terms), n_rows)


def _terms(
    k: int, first: Index, second: Index, labels: Array, predicted: Array, mass: Array,
    win_rates: Array,
) -> _Terms:  # fmt: skip
    kept = ~np.isnan(labels)
    if not mass[kept].sum() > 0:
        raise InputError(f"comparisons.labels: column {k} holds no label of positive weight")
    first, second, labels, predicted = first[kept], second[kept], labels[kept], predicted[kept]
    modelled = ~np.isnan(predicted)
    surprise = np.where(modelled, labels - predicted, 0.0)
    left = np.where(modelled, 0.5 * (win_rates[first] + surprise), 0.5 * labels)
    right = np.where(modelled, 0.5 * (win_rates[second] - surprise), 0.5 * (1 - labels))
    return _Terms(
        np.maximum(first, 0),
        np.maximum(second, 0),
        np.where(first >= 0, left, 0.0),
        np.where(second >= 0, right, 0.0),
        mass[kept] / mass[kept].sum(),
    )


def _matrix(name: str, value: ArrayLike, count: int | None, n_objectives: int) -> Array:
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


def _index(name: str, value: ArrayLike, count: int, n_rows: int) -> Index:
    array = np.asarray(value)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be {count} integer row indices, got shape {array.shape}, dtype {array.dtype}"
        )
    outside = (array < 0) | (array >= n_rows)
    if outside.any():
        where = int(np.argmax(outside))
        raise InputError(
            f"{name} must index the {n_rows} rows of win_rates, got {array[where]} at {where}"
        )
    return array.astype(np.int64, copy=False)
