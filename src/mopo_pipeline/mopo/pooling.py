"""How far a prompt's own normaliser can be trusted: kappa from the data."""

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.mopo.groups import Problem
from mopo_pipeline.mopo.validation import (
    group_array,
    positive,
    reference_array,
    threshold_array,
    win_rate_array,
)


def choose_pooling(
    win_rates: ArrayLike,
    *,
    tau: float,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    multipliers: ArrayLike | None = None,
) -> float:
    """Buhlmann's credibility constant of the normalisers: variance within prompts over variance between.

    Z(x) = (n Z_x + kappa Z_pool) / (n + kappa) is the best linear estimate of a prompt's normaliser from its
    n responses when kappa is this ratio. Prompts that are alike give inf (one pool), prompts that
    differ and have many responses give a kappa small beside n.

    Args:
        win_rates: (N, K) in [0, 1], column 0 the primary.
        tau: KL temperature > 0.
        reference: (N,) mass >= 0, uniform if None.
        groups: (N,) integer prompt ids, one group if None.
        multipliers: (K-1,) >= 0 at which the weights are taken, zeros if None.

    Returns:
        kappa in pseudo-responses, 0 to inf.

    >>> choose_pooling([[0.2], [0.8], [0.2], [0.8]], tau=0.5, groups=[0, 0, 1, 1])
    inf
    """
    scores = win_rate_array(win_rates)
    n_rows, n_objectives = scores.shape
    at = np.zeros(n_objectives - 1) if multipliers is None else threshold_array(multipliers, n_objectives)
    problem = Problem.build(
        scores, reference_array(reference, n_rows), group_array(groups, n_rows), 0.0
    )
    n_prompts, sizes = problem.starts.size, problem.sizes
    if n_prompts == 1:
        return 0.0
    if (sizes < 2).all():
        return float("inf")
    exponent = (problem.scores[:, 0] + problem.scores[:, 1:] @ at) / positive(tau, "tau")
    weight = np.exp(exponent - exponent.max())
    means = problem.sum(weight) / sizes
    squares = problem.sum((weight - problem.spread(means)) ** 2)
    within = float(squares.sum() / (sizes - 1).sum())
    total = sizes.sum()
    overall = weight.mean()
    effective = (total - (sizes**2).sum() / total) / (n_prompts - 1)
    spread = float((sizes * (means - overall) ** 2).sum() / (n_prompts - 1))
    between = (spread - within) / effective
    return within / between if between > 1e-12 * within else float("inf")
