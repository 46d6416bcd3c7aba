"""Rows on which no label speaks of an objective: its price stays what it was, the others are solved."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.comparisons import check_weights
from mopo_pipeline.mopo.problem import DualProblem


def unlabelled(problem: DualProblem, rows: DualProblem) -> NDArray[np.bool_]:
    """Which constrained objectives (K-1,) have no label of positive weight on some rows, though the problem rests on labels.

    Args:
        problem: of all rows.
        rows: of the rows asked about.
    """
    if problem.comparisons is None:
        return np.zeros(len(problem.thresholds), dtype=bool)
    if rows.comparisons is None:
        return np.ones(len(problem.thresholds), dtype=bool)
    labels = np.asarray(rows.comparisons.labels, dtype=np.float64)
    said = ~np.isnan(labels) & (check_weights(rows.comparisons.weights, labels.shape) > 0)
    return np.asarray(said.sum(axis=0)[1:] == 0)


def priced(
    problem: DualProblem, kept: NDArray[np.bool_], multipliers: Array
) -> tuple[DualProblem, float]:
    """The problem in which some objectives cost what they did and are asked for nothing.

    With fixed prices the exponent ``(s_0 + sum_fixed lambda_k s_k + sum_free lambda_j s_j)/tau`` is that of the primary
    ``(s_0 + sum_fixed lambda_k s_k)/c`` at the temperature ``tau/c``, ``c = 1 + sum_fixed lambda_k``; the free multipliers
    are then found in units of c.

    Args:
        problem: of N rows and K objectives.
        kept: (K-1,) objectives whose multipliers are fixed.
        multipliers: (K-1,) in force.

    Returns:
        The problem of the free objectives, and c, by which its multipliers are to be multiplied.
    """
    if not kept.any():
        return problem, 1.0
    prices = np.append(1.0, np.where(kept, multipliers, 0.0))
    scale, rest = prices.sum(), np.flatnonzero(np.append(False, ~kept))

    def folded(values: Array) -> Array:
        """Win rates (..., K) with the primary and what is fixed in one column, beside the free ones."""
        merged = np.clip(values @ prices / scale, 0.0, 1.0)
        return np.concatenate([merged[..., None], values[..., rest]], axis=-1)

    compared = problem.comparisons
    if compared is not None:
        free = np.append(0, rest)
        labels = np.array(compared.labels, dtype=np.float64)[:, free]
        labels[:, 0] = np.nan  # nobody was asked about the mixture
        said = compared.predicted
        weights = check_weights(compared.weights, np.shape(compared.labels))[:, free]
        folds = compared.fold_win_rates
        compared = replace(
            compared,
            labels=labels,
            predicted=None if said is None else np.asarray(said, dtype=np.float64)[:, free],
            weights=weights,
            fold_win_rates=None if folds is None else folded(np.asarray(folds, dtype=np.float64)),
        )
    sure = problem.confidence
    if sure is not None:  # each of those left is held at the level it has among all
        sure = 1.0 - (1.0 - sure) * rest.size / len(kept)
    free_problem = replace(
        problem,
        objectives=(problem.objectives[0], *(problem.objectives[i] for i in rest)),
        win_rates=folded(problem.win_rates),
        tau=problem.tau / scale,
        comparisons=compared if rest.size else None,
        confidence=sure if rest.size else None,
        epsilon=problem.epsilon if rest.size else 0.0,
    )
    return free_problem, float(scale)
