"""The normaliser of the weights: which prompts are dwelt on, never what is learned (method.md, section 2)."""

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.checks import check_number, finite_array
from mopo_pipeline.mopo.rows import Rows, build_rows


def choose_pooling(
    win_rates: ArrayLike,
    *,
    tau: float,
    groups: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    multipliers: ArrayLike | None = None,
) -> float:
    """Bühlmann's credibility constant of the normalisers: within over between variance.

    ``(n Zhat_x + kappa Z_pool)/(n + kappa)`` is the best linear estimate of a prompt's normaliser
    from its n responses when kappa is the variance of exp(u) within prompts over the variance of
    its mean between prompts. Prompts that are alike give inf, one pool; prompts that differ, and
    have many responses to show it, a kappa small beside n.

    Args:
        win_rates: (N, K) in [0, 1].
        tau: temperature > 0.
        groups: (N,) integer prompt ids; None is one prompt.
        reference: (N,) mass >= 0.
        multipliers: (K-1,) at which the weights are taken; None takes those of the primary alone.

    Returns:
        kappa, pseudo-responses: 0 for a single prompt, inf where no prompt has two responses or
        nothing tells prompts apart.

    >>> choose_pooling([[0.2], [0.8], [0.2], [0.8]], tau=0.5, groups=[0, 0, 1, 1])
    inf
    """
    rows = build_rows(win_rates, reference, groups)
    temperature = check_number("tau", tau, above=0)
    prices = np.zeros(rows.n_objectives - 1)
    if multipliers is not None:
        prices = finite_array("multipliers", multipliers, 1)
    return credibility(rows, (np.append(1.0, prices) @ rows.columns) / temperature)


def credibility(rows: Rows, exponent: Array) -> float:
    """``choose_pooling`` at the exponents (n,) of sorted rows."""
    if len(rows.starts) == 1:
        return 0.0
    if (rows.counts < 2).all():
        return float("inf")
    values = exponent - exponent.max()
    return _credibility(rows, np.exp(values, out=values))


def pooled_ratio(rows: Rows, exponent: Array, pooling: float) -> Array:
    """Weights ``exp(u_i) / Z_i``, (n,), of reference mean 1 over all rows.

    ``Z_i = ((n_x - 1) Zhat + kappa Z_pool)/(n_x - 1 + kappa)`` mixes the mean of exp(u) over the
    *other* responses to the prompt with the mean over all rows: a normaliser with the row's own
    draw in it would shrink the row, and with it the policy that is learned.

    Args:
        rows: sorted rows.
        exponent: (n,) u.
        pooling: kappa > 0; inf is one pool.
    """
    ratio = exponent - exponent.max()
    np.exp(ratio, out=ratio)
    pool = float(rows.mass @ ratio)
    if np.isinf(pooling):
        ratio /= pool
        return np.asarray(ratio)
    for here, _, part in rows.parts():
        weighted = part.mass * ratio[here]
        others = np.maximum(part.spread(np.add.reduceat(weighted, part.starts)) - weighted, 0.0)
        mass = part.spread(part.group_mass) - part.mass
        mean = np.divide(others, mass, out=np.zeros_like(others), where=mass > 0)
        count = part.spread(part.counts) - 1.0
        ratio[here] /= (count * mean + pooling * pool) / (count + pooling)
    ratio /= float(rows.mass @ ratio)
    return np.asarray(ratio)


def _credibility(rows: Rows, values: Array) -> float:
    """Unbiased estimates of the variance of values (n,) within and between prompts, and their ratio."""
    sizes = rows.counts.astype(np.float64)
    means = np.add.reduceat(values, rows.starts) / sizes
    squares = np.empty(len(sizes))
    for here, groups, part in rows.parts():
        around = values[here] - part.spread(means[groups])
        squares[groups] = np.add.reduceat(around**2, part.starts)
    total, prompts = sizes.sum(), len(sizes)
    within = squares.sum() / (total - prompts)
    effective = (total - (sizes**2).sum() / total) / (prompts - 1)
    spread = (sizes * (means - values.mean()) ** 2).sum() / (prompts - 1)
    between = (spread - within) / effective
    return float(within / between) if between > 1e-12 * within else float("inf")
