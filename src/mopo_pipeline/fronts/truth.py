"""The pocket task's exact regularised front: what plans on the truth would attain on the same prompts."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual
from mopo_pipeline.pareto import non_dominated
from mopo_pipeline.pocket import task as pocket

DEAREST = 20.0
"""Multiplier where the exact front ends."""

MOST = 12_000
"""Policies the exact front is swept by, some seconds; with more objectives each has fewer multipliers."""


@dataclass(frozen=True)
class Truth:
    """What is known of the pocket task on some prompts.

    Attributes:
        front: (m, K) non-dominated values of problem (1) over all thresholds.
        at_thresholds: (n, K) its optima at the thresholds that were asked for, those in reach.
    """

    front: Array
    at_thresholds: Array


def truth(
    prompts: list[str], objectives: tuple[str, ...], thresholds: Array, tau: float, points: int
) -> Truth:
    """Solve problem (1) on all answers to these prompts.

    Every multiplier is the solution at some thresholds and in closed form (2), so the front is swept by
    multipliers.

    Args:
        prompts: of the pocket task.
        objectives: K of its objectives, the primary first.
        thresholds: (n, K-1) that were asked for.
        tau: temperature.
        points: multipliers per constrained objective, at most; all of them together are at most ``MOST``.
    """
    problem = pocket.exact_problem(prompts, objectives)
    answers = len(pocket.answers())
    win_rates = np.asarray(problem.win_rates)
    cube = win_rates.reshape(len(prompts), answers, -1)
    prior = np.log(np.asarray(problem.reference).reshape(len(prompts), answers))
    each = min(points, int(MOST ** (1 / (len(objectives) - 1))))
    axis = multipliers_to(DEAREST, each)
    swept = [
        closed_form(cube, prior, np.append(1.0, multipliers) / tau)
        for multipliers in product(axis, repeat=len(objectives) - 1)
    ]
    front = np.array(swept)
    optima = []
    for asked in thresholds:
        try:
            found = solve_dual(
                win_rates, asked, tau=tau, reference=problem.reference, groups=problem.groups
            )
        except InfeasibleThresholdsError:
            continue
        optima.append(np.asarray(found.values))
    return Truth(front[non_dominated(front)], np.array(optima).reshape(-1, len(objectives)))


def multipliers_to(dearest: float, points: int) -> Array:
    """Multipliers (points,) from 0 to the dearest, so that the share lambda / (1 + lambda) of a threshold moves evenly.

    >>> multipliers_to(3.0, 4).round(2).tolist()
    [0.0, 0.33, 1.0, 3.0]
    """
    share = np.linspace(0.0, dearest / (1.0 + dearest), max(points, 2))
    return np.asarray(share / (1.0 - share))


def closed_form(cube: Array, prior: Array, direction: Array) -> Array:
    """Values (K,) of the policy prior exp(direction·s), mean over prompts.

    Args:
        cube: (P, A, K) win rates of A answers to P prompts.
        prior: (P, A) log-probabilities of the reference.
        direction: (K,) multipliers over tau, the primary's first.
    """
    logits = prior + cube @ direction
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("pa,pak->k", mass, cube) / len(cube))
