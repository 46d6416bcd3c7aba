"""Test labels re-weighted to a policy: ratios, terms, and how many comparisons still count."""

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by


def importance_ratio(log_ratio: Array, max_ratio: float) -> Array:
    """Pi / pi_ref of each response, (n,), clipped at ``max_ratio`` and scaled to mean 1.

    Args:
        log_ratio: (n,) log pi - log pi_ref, nats.
        max_ratio: greatest ratio before scaling, > 0.
    """
    clipped = np.minimum(log_ratio, np.log(max_ratio))
    ratio = np.exp(clipped - clipped.max())
    return np.asarray(ratio / ratio.mean())


def mean_ratio(
    log_ratio: Array,
    units: Index,
    max_ratio: float,
    *,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float | None, float | None, float | None]:
    """Mean over responses of pi / pi_ref, clipped, and its interval; None where it cannot be told.

    Of responses that the reference drew it is 1 whatever the policy, or less by what was clipped. More says that others
    wrote them, to whom ratios to the reference are none.

    Args:
        log_ratio: (n,) log pi - log pi_ref, nats.
        units: (n,) what each response's prompt was drawn with, from 0.
        max_ratio: greatest ratio, > 0.
        confidence: of the interval, in (0, 1).
        draws: bootstrap replicates.
        rng: of the replicates.
    """
    count = int(units.max()) + 1
    ratio = np.exp(np.minimum(log_ratio, np.log(max_ratio)))
    found = prompt_bootstrap(
        sum_by(ratio[:, None], units, count),
        np.bincount(units, minlength=count)[:, None].astype(np.float64),
        confidence=confidence,
        draws=draws,
        rng=rng,
    )
    mean, low, high = (
        float(end[0]) if np.isfinite(end[0]) else None
        for end in (found.estimate, found.low, found.high)
    )
    return mean, low, high


def lost_share(mean_ratio: float | None) -> float:
    """Share of what a policy says beyond ratios as they are seen and clipped, by their mean over the data's answers.

    >>> lost_share(0.75), lost_share(1.2), lost_share(None)
    (0.25, 0.0, 0.0)
    """
    return 0.0 if mean_ratio is None else max(1.0 - mean_ratio, 0.0)


def comparison_terms(
    first: Index,
    second: Index,
    labels: Array,
    ratio: Array,
    win_rates: Array | None,
    predicted: Array | None,
) -> Array:
    """f_c of every comparison and objective, (M, K); NaN where the label is missing.

    ``f_c = (rho_i s_i + rho_j s_j)/2 + (rho_i - rho_j)(I_c - p_c)/2``; without a model
    ``f_c = (rho_i I_c + rho_j (1 - I_c))/2`` (``method.md``, section 4, setting 2).

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        labels: (M, K) in [0, 1], NaN missing.
        ratio: (n,) importance ratio of the responses.
        win_rates: (n, K) of a model, or None.
        predicted: (M, K) the model's probability that the first response wins, or None.
    """
    left, right = ratio[first][:, None], ratio[second][:, None]
    if win_rates is None or predicted is None:
        return 0.5 * (left * labels + right * (1.0 - labels))
    return 0.5 * (
        left * win_rates[first] + right * win_rates[second] + (left - right) * (labels - predicted)
    )


def effective_comparisons(
    first: Index, second: Index, left: Array, right: Array, responses: int
) -> Array:
    """How many equally weighted comparisons carry as much as these, (K,).

    Kish's (sum m)^2 / sum m^2 over comparisons, or over responses where that is less: a response
    that carries the weight of all its comparisons is one observation.

    Args:
        first: (M,) rows of the first responses.
        second: (M,) rows of the second responses.
        left: (M, K) mass of a comparison by its first response, >= 0.
        right: (M, K) mass by its second response, >= 0.
        responses: how many rows there are.

    >>> pairs = np.arange(4), np.arange(4, 8)
    >>> even = np.ones((4, 1))
    >>> float(effective_comparisons(*pairs, even, even, 8)[0])
    4.0
    >>> star = np.zeros(4, dtype=int), np.arange(1, 5)
    >>> round(float(effective_comparisons(*star, even, 0.01 * even, 5)[0]), 2)
    1.02
    """
    carried = np.zeros((responses, left.shape[1]))
    np.add.at(carried, first, left)
    np.add.at(carried, second, right)
    return np.minimum(kish(left + right), kish(carried))


def kish(mass: Array) -> Array:
    """(sum m)^2 / sum m^2 of each column of (n, K); 0 where nothing has mass."""
    squares = (mass**2).sum(axis=0)
    share = np.zeros(squares.shape)
    return np.asarray(np.divide(mass.sum(axis=0) ** 2, squares, out=share, where=squares > 0))
