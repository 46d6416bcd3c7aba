"""Arguments of the public functions, checked once and turned into arrays."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.errors import InputError

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def win_rate_array(win_rates: ArrayLike) -> Array:
    """Win rates as (N, K) float64 in [0, 1], column 0 the primary."""
    array = np.asarray(win_rates, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"win_rates must be (rows, objectives), both at least 1; got shape {array.shape}")
    return _within_unit(array, "win_rates")


def threshold_array(thresholds: ArrayLike, n_objectives: int) -> Array:
    """Thresholds as (K-1,) finite float64."""
    array = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if array.size == 0:
        array = array.reshape(0)
    if array.shape != (n_objectives - 1,):
        raise InputError(
            f"{n_objectives} objectives need {n_objectives - 1} thresholds (the primary has none); "
            f"got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"thresholds must be finite; got {array.tolist()}")
    return array


def reference_array(reference: ArrayLike | None, n_rows: int) -> Array:
    """Reference mass as (N,) summing to 1; uniform if None."""
    if reference is None:
        return np.full(n_rows, 1.0 / n_rows)
    array = np.asarray(reference, dtype=np.float64)
    if array.shape != (n_rows,):
        raise InputError(f"reference must be ({n_rows},), one mass per row; got shape {array.shape}")
    if not np.isfinite(array).all() or (array < 0).any():
        bad = int(np.flatnonzero(~(array >= 0) | ~np.isfinite(array))[0])
        raise InputError(f"reference mass must be finite and >= 0; row {bad} holds {array[bad]}")
    total = array.sum()
    if total <= 0:
        raise InputError("reference mass is zero in every row")
    return array / total


def group_array(groups: ArrayLike | None, n_rows: int) -> Indices:
    """Prompt ids as (N,) integers; one group if None."""
    if groups is None:
        return np.zeros(n_rows, dtype=np.intp)
    array = np.asarray(groups)
    if array.shape != (n_rows,):
        raise InputError(f"groups must be ({n_rows},), one prompt id per row; got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"groups must be integer prompt ids; got dtype {array.dtype}")
    return array.astype(np.intp, copy=False)


def positive(value: float, name: str) -> float:
    """A finite number above zero."""
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a finite number above 0; got {value}")
    return float(value)


def non_negative(value: float, name: str, *, finite: bool = True) -> float:
    """A number at or above zero, infinity allowed where ``finite`` is false."""
    if np.isnan(value) or value < 0 or (finite and np.isinf(value)):
        raise InputError(f"{name} must be {'a finite number' if finite else 'a number'} >= 0; got {value}")
    return float(value)


def one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    """A name out of a fixed list."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    return value


def _within_unit(array: Array, name: str) -> Array:
    low, high = array.min(), array.max()
    if low >= 0.0 and high <= 1.0:
        return array
    row, column = (int(i[0]) for i in np.nonzero(~((array >= 0.0) & (array <= 1.0))))
    raise InputError(f"{name} must lie in [0, 1]; row {row}, column {column} holds {array[row, column]}")
