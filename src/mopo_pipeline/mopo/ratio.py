"""The importance ratio and the dual of the constrained problem (method.md, eqs. 2 and 3).

For multipliers lambda every row has the exponent ``u = (s_0 + lambda's)/tau``. With ``Z(x)`` the
normaliser of prompt x, the dual is ``g(lambda) = tau E_x log Z(x) - lambda'b``; its gradient is
``E[ratio s] - b`` and its Hessian a covariance.
"""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.rows import Rows


@dataclass(frozen=True)
class Tilted:
    """The rows under the ratio of one multiplier vector.

    Attributes:
        log_normaliser: ``E_x log Z(x)``, so that the dual is tau times it minus lambda'b.
        weights: (n,) reference mass times ratio, sum 1.
        values: (K,) ``E[ratio s_k]``.
        covariance: (K, K) ``E_x Cov_x(s)`` under each prompt's policy; the Hessian is this / tau.
    """

    log_normaliser: float
    weights: Array
    values: Array
    covariance: Array


def tilt(rows: Rows, multipliers: Array, tau: float) -> Tilted:
    """Exponential tilting of the reference by the win rates, with two derivatives.

    One exp and two grouped sums per row, in cache-sized chunks.

    Args:
        rows: sorted rows.
        multipliers: (K-1,) >= 0.
        tau: temperature > 0.
    """
    coefficients = np.append(1.0, multipliers) / tau
    n_objectives, n_rows = rows.columns.shape
    weights = np.empty(n_rows)
    log_own = np.empty(len(rows.starts))
    peaks = np.empty(len(rows.starts))
    means = np.empty((n_objectives, len(rows.starts)))
    for here, groups, starts in rows.chunks():
        block = rows.columns[:, here]
        exponent = coefficients @ block
        peak = np.maximum.reduceat(exponent, starts)
        counts = rows.counts[groups]
        exponent -= np.repeat(peak, counts)
        part = np.exp(exponent, out=exponent)
        part *= rows.mass[here]
        total = np.add.reduceat(part, starts)
        for k in range(n_objectives):
            means[k, groups] = np.add.reduceat(block[k] * part, starts) / total
        weights[here] = part
        peaks[groups] = peak
        log_own[groups] = np.log(total / rows.group_mass[groups]) + peak
    log_factor = peaks - log_own
    second = np.zeros((n_objectives, n_objectives))
    for here, groups, _ in rows.chunks():
        part = weights[here]
        part *= np.repeat(np.exp(log_factor[groups]), rows.counts[groups])
        block = rows.columns[:, here]
        second += (block * part) @ block.T
    values = rows.columns @ weights
    covariance = second - (means * rows.group_mass) @ means.T
    return Tilted(float(rows.group_mass @ log_own), weights, values, covariance)


def sorted_ratio(rows: Rows, weights: Array) -> Array:
    """The ratio of each sorted row, (n,): tilted weight over reference mass."""
    ratio: Array = weights / rows.mass
    return ratio


def best_responses(rows: Rows, direction: Array) -> tuple[float, Array]:
    """Mean over prompts of the best weighted win rate, and the win rates where it is attained.

    Args:
        rows: sorted rows.
        direction: (K,) weights.

    Returns:
        ``E_x max_y direction's`` and the values (K,) of the policy that plays the maximiser.
    """
    values = np.zeros(rows.n_objectives)
    for here, groups, starts in rows.chunks():
        block = rows.columns[:, here]
        score = direction @ block
        peak = np.maximum.reduceat(score, starts)
        hits = np.flatnonzero(score == np.repeat(peak, rows.counts[groups]))
        owner = np.searchsorted(starts, hits, side="right") - 1
        first = hits[np.concatenate([[True], owner[1:] != owner[:-1]])]
        values += block[:, first] @ rows.group_mass[groups]
    return float(direction @ values), values


def per_prompt(rows: Rows, exponent: Array) -> Array:
    """Target over reference (n,), of reference mean 1 in each prompt (eq. 2)."""
    peak = np.maximum.reduceat(exponent, rows.starts)
    part = np.exp(exponent - rows.spread(peak))
    mean = np.add.reduceat(rows.mass * part, rows.starts) / rows.group_mass
    return np.asarray(part / rows.spread(mean))


def effective_number(weights: Array) -> float:
    """As many equal weights say as much as these (n,) >= 0 of positive sum: ``(Σw)² / Σw²``, from 1 to n.

    >>> effective_number(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    return float(weights.sum() ** 2 / (weights @ weights))


def effective_share(weights: Array, mass: Array | None = None) -> float:
    """Effective sample size over sample size, ``E[w]^2 / E[w^2]``, in (0, 1].

    Args:
        weights: (n,) >= 0, any positive sum.
        mass: (n,) of the rows, sum 1; None counts them alike.

    >>> effective_share(np.array([1.0, 1.0, 0.0, 0.0]))
    0.5
    """
    if mass is None:
        return effective_number(weights) / weights.size
    return float((mass @ weights) ** 2 / (mass @ weights**2))
