"""Checks shared by everything that takes a set of points."""

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError


def check_points(name: str, points: ArrayLike) -> Array:
    """Return points as finite float64 (m, K), m >= 1 and K >= 1.

    Raises:
        InputError: another number of dimensions, no point, or a coordinate that is not finite.
    """
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} must be an (m, K) array of numbers, got {points!r:.80}"
        ) from error
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"{name} must have shape (m, K) with a point at least, got {array.shape}")
    if not np.isfinite(array).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"{name} must be finite, got {array[row, column]} at row {row}, column {column}"
        )
    return array


def check_pair(
    first_name: str, first: ArrayLike, second_name: str, second: ArrayLike
) -> tuple[Array, Array]:
    """Return two point sets (m, K) and (n, K), of the same number of objectives."""
    a, b = check_points(first_name, first), check_points(second_name, second)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{first_name} and {second_name} must have the same objectives, "
            f"got {a.shape[1]} and {b.shape[1]} columns"
        )
    return a, b


def check_vector(name: str, vector: ArrayLike, size: int) -> Array:
    """Return a vector (size,) of finite numbers."""
    array = np.asarray(vector, dtype=np.float64)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise InputError(f"{name} must be {size} finite numbers, got {vector!r}")
    return array
