"""The method on small preference structures: exact sweeps and sampled replicates (section 8)."""

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    epsilon_for_confidence,
    run_tabular,
    solve_dual,
)
from mopo_pipeline.parameters.synthetic import StructureParams, SyntheticParams
from mopo_pipeline.pareto.front import true_front_at
from mopo_pipeline.progress import track

Array = NDArray[np.float64]


def sweep(params: SyntheticParams) -> pd.DataFrame:
    """Static and lagged runs over a grid of thresholds, each beside its linear programme.

    Returns:
        structure, reference (``static`` or ``lagged``), threshold_<k>, value_<k>, true_optimum (the
        primary's greatest value under the thresholds), shortfall (what the run misses of it).
    """
    tasks = [
        (name, structure, thresholds)
        for name, structure in params.structures.items()
        for thresholds in threshold_grid(structure, params.thresholds)
    ]
    rows = []
    for name, structure, thresholds in track(tasks, "thresholds"):
        preferences, behaviour = _arrays(structure)
        best = true_front_at(_win_rates(structure), thresholds, reference=behaviour)[0]
        for reference, lag in (("static", None), ("lagged", params.lag)):
            run = run_tabular(
                preferences, behaviour, thresholds, tau=params.tau, lag=lag,
                steps=params.steps if lag else None,
            )  # fmt: skip
            rows.append(
                {"structure": name, "reference": reference}
                | {f"threshold_{k}": b for k, b in enumerate(thresholds, start=1)}
                | {f"value_{k}": v for k, v in enumerate(run.values)}
                | {"true_optimum": best[0], "shortfall": best[0] - run.values[0]}
            )
    return pd.DataFrame(rows)


def coverage(params: SyntheticParams) -> pd.DataFrame:
    """How often a threshold truly holds when win rates are estimated from sampled comparisons.

    Half of the comparisons fit the win rates, the other half carry the bound. The threshold is the
    behaviour policy's own value, .5.

    Returns:
        structure, comparisons, confidence, held (share of the replicates that were solved), refused
        (share found out of reach), primary (mean true value).
    """
    tasks = list(product(params.structures.items(), params.comparisons))
    rows = []
    for index, ((name, structure), n) in enumerate(track(tasks, "sampled datasets")):
        rng = np.random.default_rng([params.seed, index])
        truth = _win_rates(structure)
        mass = np.array(structure.behaviour)
        asked = np.full(truth.shape[1] - 1, 0.5)
        values: dict[float, list[Array]] = {c: [] for c in params.confidences}
        for _ in range(params.replicates):
            fitted, comparisons = _sample(structure, n, rng)
            for confidence, found in values.items():
                epsilon = epsilon_for_confidence(len(comparisons.first), confidence)
                try:
                    solution = solve_dual(
                        fitted, asked, tau=params.tau, reference=mass, epsilon=epsilon,
                        comparisons=comparisons,
                    )  # fmt: skip
                except InfeasibleThresholdsError:
                    continue
                found.append((mass * solution.ratio) @ truth)
        for confidence, found in values.items():
            solved = np.array(found).reshape(-1, truth.shape[1])
            rows.append(
                {
                    "structure": name,
                    "comparisons": n,
                    "confidence": confidence,
                    "held": float((solved[:, 1:] >= asked - 1e-9).all(axis=1).mean()),
                    "refused": 1 - len(solved) / params.replicates,
                    "primary": float(solved[:, 0].mean()),
                }
            )
    return pd.DataFrame(rows)


def threshold_grid(structure: StructureParams, count: int) -> list[Array]:
    """Thresholds spread from the behaviour's value to what is attainable, those jointly feasible."""
    win_rates = _win_rates(structure)
    mass = np.array(structure.behaviour)
    axes = [
        np.linspace(column.min() + 0.1 * (column.max() - column.min()), column.max() - 0.01, count)
        for column in win_rates[:, 1:].T
    ]
    feasible = []
    for thresholds in product(*axes):
        try:
            true_front_at(win_rates, thresholds, reference=mass)
        except InputError:
            continue
        feasible.append(np.array(thresholds))
    return feasible


def _sample(
    structure: StructureParams, n: int, rng: np.random.Generator
) -> tuple[Array, Comparisons]:
    """Win rates fitted on half of ``n`` labelled pairs, and the other half as comparisons."""
    preferences, mass = _arrays(structure)
    size = len(mass)
    first, second = rng.choice(size, (2, n), p=mass)
    labels = (rng.random((n, len(preferences))) < preferences[:, first, second].T).astype(float)
    half = n // 2
    wins, seen = np.zeros_like(preferences), np.zeros((size, size))
    for i, j, label in zip(first[:half], second[:half], labels[:half], strict=True):
        wins[:, i, j] += label
        wins[:, j, i] += 1 - label
        seen[i, j] += 1
        seen[j, i] += 1
    model = (wins + 1) / (seen + 2)
    held_out = slice(half, None)
    return (model @ mass).T, Comparisons(
        first[held_out], second[held_out], labels[held_out],
        model[:, first[held_out], second[held_out]].T,
    )  # fmt: skip


def _arrays(structure: StructureParams) -> tuple[Array, Array]:
    return np.array(structure.preferences), np.array(structure.behaviour)


def _win_rates(structure: StructureParams) -> Array:
    preferences, mass = _arrays(structure)
    return np.asarray((preferences @ mass).T)
