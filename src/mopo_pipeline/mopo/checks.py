"""Checks of what a caller passes; each error prints what was received."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError

SLACK = 1e-9
"""Rounding allowed at the ends of [0, 1]."""


def finite_array(name: str, value: ArrayLike, ndim: int) -> Array:
    """Return ``value`` as a finite float64 array of ``ndim`` dimensions, (n,) or (n, K).

    Raises:
        InputError: it is not numeric, has another number of dimensions, or holds NaN or infinity.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers, got {_kind(value)}") from error
    if array.ndim != ndim:
        raise InputError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name} must be finite, got {array[where]} at {_place(where)}")
    return array


def unit_interval(name: str, array: Array) -> None:
    """Raise unless every entry, (n,) or (n, K), lies in [0, 1]; NaN passes (callers that forbid it check first)."""
    outside = (array < -SLACK) | (array > 1 + SLACK)
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        raise InputError(f"{name} must lie in [0, 1], got {array[where]:g} at {_place(where)}")


def check_win_rates(win_rates: ArrayLike) -> Array:
    """Return win rates as (N, K) float64 in [0, 1], N >= 1 and K >= 1."""
    array = finite_array("win_rates", win_rates, 2)
    if array.size == 0:
        raise InputError(
            f"win_rates needs a row and an objective at least, got shape {array.shape}"
        )
    unit_interval("win_rates", array)
    return array


def check_thresholds(thresholds: ArrayLike, n_constraints: int) -> Array:
    """Return thresholds as (K-1,) float64."""
    array = finite_array("thresholds", thresholds, 1)
    if array.shape != (n_constraints,):
        raise InputError(
            f"thresholds needs one number per constrained objective ({n_constraints}: every column "
            f"of win_rates but the first), got {array.size}"
        )
    return array


def check_start(start: ArrayLike | None, n_constraints: int) -> Array | None:
    """Return multipliers to start from as (K-1,) float64, >= 0; None as it is."""
    if start is None:
        return None
    array = finite_array("start", start, 1)
    if array.shape != (n_constraints,) or (array < 0).any():
        raise InputError(
            f"start needs one multiplier >= 0 per constrained objective ({n_constraints}), got {array.tolist()}"
        )
    return array


def check_mass(name: str, mass: ArrayLike | None, n_rows: int) -> Array:
    """Return a mass over rows as (N,) float64 that sums to 1; uniform where None."""
    if mass is None:
        return np.full(n_rows, 1.0 / n_rows)
    array = finite_array(name, mass, 1)
    if array.shape != (n_rows,):
        raise InputError(f"{name} must have shape ({n_rows},), got {array.shape}")
    if (array < 0).any():
        row = int(np.argmax(array < 0))
        raise InputError(f"{name} must not be negative, got {array[row]:g} at row {row}")
    total = array.sum()
    if not total > 0:
        raise InputError(f"{name} must have a positive sum, got {total:g} over {n_rows} rows")
    normalised: Array = array / total
    return normalised


def check_groups(groups: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    """Return prompt ids as (N,) int64; all zero where None."""
    if groups is None:
        return np.zeros(n_rows, dtype=np.int64)
    array = np.asarray(groups)
    if array.shape != (n_rows,):
        raise InputError(f"groups must have shape ({n_rows},), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise InputError(f"groups must hold integer prompt ids, got dtype {array.dtype}")
    return array.astype(np.int64, copy=False)


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    infinite: bool = False,
) -> float:
    """Return ``value`` as a float inside the stated bounds, or raise an InputError that prints it."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error
    expected = []
    if above is not None:
        expected.append(f"> {above:g}")
    if at_least is not None:
        expected.append(f">= {at_least:g}")
    if below is not None:
        expected.append(f"< {below:g}")
    wrong = (
        np.isnan(number)
        or (np.isinf(number) and not infinite)
        or (above is not None and number <= above)
        or (at_least is not None and number < at_least)
        or (below is not None and number >= below)
    )
    if wrong:
        raise InputError(f"{name} must be {' and '.join(expected) or 'finite'}, got {value!r}")
    return number


def _place(where: tuple[int, ...]) -> str:
    if len(where) == 1:
        return f"position {where[0]}"
    if len(where) == 2:
        return f"row {where[0]}, column {where[1]}"
    return f"index {where}"


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:60]}"
