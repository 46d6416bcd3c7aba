"""How far people agree who judged the same thing."""

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array


def krippendorff_alpha(units: NDArray[np.intp], values: Array) -> dict[str, float] | None:
    r"""Krippendorff's alpha with the interval metric: one less observed over expected disagreement.

    With m_u values in unit u, n = sum of m_u over units of two values or more,

        D_o = 1/n sum_u 1/(m_u - 1) sum_{i != j in u} (v_i - v_j)^2,
        D_e = 1/(n (n - 1)) sum_{i != j} (v_i - v_j)^2,  alpha = 1 - D_o / D_e.

    1: they always agree; 0: as chance would; below: they contradict each other. For labels of pairs (0,
    1/2, 1) a tie lies halfway.

    Args:
        units: (n,) what is judged, a code for each value.
        values: (n,) judgements, NaN where there is none.

    Returns:
        ``alpha``, the number of ``units`` of two judgements or more and of their ``values``; None where
        there are none, or where all values are equal.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011.
    """
    told = ~np.isnan(values)
    codes = np.unique(units[told], return_inverse=True)[1]
    counts = np.bincount(codes)
    paired = counts[codes] > 1 if len(codes) else np.zeros(0, dtype=bool)
    found, codes = values[told][paired], codes[paired]
    n = len(found)
    if n == 0:
        return None
    found = found - found.mean()
    expected = 2.0 * (n * (found**2).sum() - found.sum() ** 2) / (n * (n - 1))
    if expected <= 0.0:
        return None
    m, total, square = (
        np.bincount(codes, weights=w)[np.unique(codes)] for w in (np.ones(n), found, found**2)
    )
    observed = (2.0 * (m * square - total**2) / (m - 1)).sum() / n
    return {"alpha": float(1.0 - observed / expected), "units": len(m), "values": n}
