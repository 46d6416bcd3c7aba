"""What the solvers take and return."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.validation import Array


@dataclass(frozen=True)
class Comparisons:
    """Labelled pairs of rows; the bound is taken over them (``method.md`` section 4, setting 2).

    Attributes:
        first, second: (M,) row indices.
        labels: (M, K) in [0, 1], 1 where ``first`` wins, .5 a tie, NaN missing.
        predicted: (M, K) the preference model's probability that ``first`` wins, None without a model.
        weights: (M,) mass >= 0, uniform if None.
    """

    first: ArrayLike
    second: ArrayLike
    labels: ArrayLike
    predicted: ArrayLike | None = None
    weights: ArrayLike | None = None


@dataclass(frozen=True)
class CheckedComparisons:
    """The same as arrays that have been checked against the rows."""

    first: np.ndarray
    second: np.ndarray
    labels: Array
    predicted: Array | None
    weights: Array

    @classmethod
    def build(cls, raw: Comparisons, n_rows: int, n_objectives: int) -> "CheckedComparisons":
        """Check shapes, ranges and indices.

        Raises:
            InputError: naming the field and what it holds.
        """
        first, second = np.asarray(raw.first), np.asarray(raw.second)
        if first.ndim != 1 or first.shape != second.shape or first.size == 0:
            raise InputError(
                f"comparisons need two equal, non-empty index vectors; got {first.shape} and {second.shape}"
            )
        for name, index in (("first", first), ("second", second)):
            if not np.issubdtype(index.dtype, np.integer):
                raise InputError(f"comparisons.{name} must be integer row indices; got {index.dtype}")
            if index.min() < 0 or index.max() >= n_rows:
                raise InputError(f"comparisons.{name} must index {n_rows} rows; got {index.min()}..{index.max()}")
        shape = (first.size, n_objectives)
        labels = _probabilities(raw.labels, "labels", shape)
        predicted = None if raw.predicted is None else _probabilities(raw.predicted, "predicted", shape)
        weights = np.ones(first.size) if raw.weights is None else np.asarray(raw.weights, dtype=np.float64)
        if weights.shape != first.shape or not np.isfinite(weights).all() or (weights < 0).any():
            raise InputError(f"comparisons.weights must be {first.shape}, finite and >= 0; got {weights.shape}")
        present = ~np.isnan(labels) if predicted is None else ~(np.isnan(labels) | np.isnan(predicted))
        for k in range(1, n_objectives):
            if not weights[present[:, k]].sum() > 0:
                raise InputError(f"objective {k} has no labelled comparison with positive weight")
        return cls(first, second, labels, predicted, weights)


@dataclass(frozen=True)
class DualSolution:
    """Multipliers, the policy they define, and how far from optimal it can be.

    Attributes:
        multipliers: (K-1,) >= 0.
        ratio: (N,) importance ratio, reference-mean 1 in each prompt (over all rows when pooled); 0 for
            rows without mass.
        values: (K,) model value E_ref[ratio * s_k] of the policy.
        bounds: (K-1,) robust lower bound of each constrained value; the value itself at radius 0.
        chi: (K-1,) temperature of each bound; inf at radius 0.
        duality_gap: dual minus primal value, >= 0 up to rounding.
        ess: effective number of rows, 1 / sum (mass * ratio)^2.
        kl: E_x KL(policy || reference).
        status: per constraint ``active`` or ``inactive``.
    """

    multipliers: Array
    ratio: Array
    values: Array
    bounds: Array
    chi: Array
    duality_gap: float
    ess: float
    kl: float
    status: tuple[str, ...]


def _probabilities(raw: ArrayLike, name: str, shape: tuple[int, int]) -> Array:
    array = np.asarray(raw, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"comparisons.{name} must be {shape}; got shape {array.shape}")
    bad = ~((array >= 0.0) & (array <= 1.0)) & ~np.isnan(array)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"comparisons.{name} must lie in [0, 1] or be missing; row {row}, column {column} "
            f"holds {array[row, column]}"
        )
    return array
