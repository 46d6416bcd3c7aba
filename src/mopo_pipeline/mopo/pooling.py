"""How much of the pooled normaliser each prompt needs (method.md, section 2, few responses)."""

import contextlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mopo_pipeline.mopo.checks import check_number, check_thresholds
from mopo_pipeline.mopo.errors import InfeasibleThresholdsError
from mopo_pipeline.mopo.rows import Rows, build_rows

Array = NDArray[np.float64]


def choose_pooling(
    win_rates: ArrayLike,
    *,
    tau: float,
    groups: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    thresholds: ArrayLike | None = None,
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
        thresholds: (K-1,) at which the weights are taken, by solving with one pool; None, or
            thresholds out of reach, takes the weights of the primary alone.

    Returns:
        kappa, pseudo-responses: 0 for a single prompt, inf where no prompt has two responses or
        nothing tells prompts apart.

    >>> choose_pooling([[0.2], [0.8], [0.2], [0.8]], tau=0.5, groups=[0, 0, 1, 1])
    inf
    """
    rows = build_rows(win_rates, reference, groups)
    temperature = check_number("tau", tau, above=0)
    if len(rows.starts) == 1:
        return 0.0
    if (rows.counts < 2).all():
        return float("inf")
    multipliers = np.zeros(rows.n_objectives - 1)
    if thresholds is not None and rows.n_objectives > 1:
        from mopo_pipeline.mopo.dual import solve_dual

        asked = check_thresholds(thresholds, rows.n_objectives - 1)
        with contextlib.suppress(InfeasibleThresholdsError):
            multipliers = solve_dual(
                win_rates, asked, tau=temperature, reference=reference, groups=groups,
                pooling=np.inf,
            ).multipliers  # fmt: skip
    exponent = (np.append(1.0, multipliers) @ rows.columns) / temperature
    return _credibility(rows, np.exp(exponent - exponent.max()))


def _credibility(rows: Rows, values: Array) -> float:
    """Unbiased estimates of the variance within and between prompts, and their ratio."""
    sizes = rows.counts.astype(np.float64)
    means = np.add.reduceat(values, rows.starts) / sizes
    squares = np.add.reduceat((values - rows.spread(means)) ** 2, rows.starts)
    total, prompts = sizes.sum(), len(sizes)
    within = squares.sum() / (total - prompts)
    effective = (total - (sizes**2).sum() / total) / (prompts - 1)
    spread = (sizes * (means - values.mean()) ** 2).sum() / (prompts - 1)
    between = (spread - within) / effective
    return float(within / between) if between > 1e-12 * within else float("inf")
