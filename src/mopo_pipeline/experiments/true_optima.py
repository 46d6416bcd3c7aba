"""True fronts and optima of a structure, for what runs are held against."""

import numpy as np

from mopo_pipeline.errors import InputError
from mopo_pipeline.experiments.structures import Problem
from mopo_pipeline.pareto import non_dominated
from mopo_pipeline.pareto.front import true_front, true_front_at

MAP_POINTS = 33
"""Thresholds per axis of the map of true optima."""


def front_with_vertices(problem: Problem) -> np.ndarray:
    """The front with its vertices, which a grid of thresholds alone would cut off, (m, 2)."""
    swept = true_front(problem.win_rates, reference=problem.behaviour)
    points = np.concatenate([swept, problem.win_rates[problem.behaviour > 0]])
    kept = points[non_dominated(points)]
    return kept[np.argsort(kept[:, 1])]


def true_optima(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two threshold axes (G,), and the primary's optimum on their grid (G, G); NaN where out of reach."""
    present = problem.win_rates[problem.behaviour > 0]
    x, y = np.linspace(present.min(axis=0), present.max(axis=0), MAP_POINTS).T[1:3]
    best = np.full((MAP_POINTS, MAP_POINTS), np.nan)
    for i, j in np.ndindex(best.shape):
        try:
            best[i, j] = true_front_at(
                problem.win_rates, [x[i], y[j]], reference=problem.behaviour
            )[0][0]
        except InputError:
            continue
    return x, y, best
