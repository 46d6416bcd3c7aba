"""Sweeps of thresholds on small preference structures, exact and sampled (section 8)."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.experiments.structures import (
    Problem,
    problems,
    sample,
    solve_sample,
    threshold_grid,
)
from mopo_pipeline.experiments.workers import for_each
from mopo_pipeline.mopo import InfeasibleThresholdsError, NotConvergedError, run_tabular
from mopo_pipeline.parameters.synthetic import SyntheticParams
from mopo_pipeline.pareto.front import true_front_at


def sweep(params: SyntheticParams) -> pd.DataFrame:
    """Every structure over a grid of thresholds, each run beside its linear programme.

    Exact preferences are solved with the static and the lagged reference, sampled ones with the
    static reference at ``confidence``: one dataset of each size, the same for all thresholds.
    Values are true win rates throughout.

    Returns:
        structure, objectives (K), preferences (``exact`` or ``sampled``), reference (``static`` or
        ``lagged``), comparisons (0 where exact), threshold_<k>, refused (the dataset supports no
        policy at these thresholds, or is too small to plan for one), value_<k>, true_optimum (the primary's greatest value under
        the thresholds), shortfall (what the run misses of it), violation (the most by which a
        threshold is missed, negative where all are held with room). NaN: refused, or no such k.
    """
    tasks = [
        (problem, thresholds)
        for problem in problems(params)
        for thresholds in threshold_grid(problem, params.thresholds)
    ]
    found = for_each(partial(_at_thresholds, params), tasks, "thresholds")
    return pd.DataFrame([row for rows in found for row in rows])


def shortfalls(sweep: pd.DataFrame) -> pd.DataFrame:
    """The sweep in one line per structure, K and kind of run.

    Returns:
        structure, objectives, preferences, reference, comparisons, thresholds (how many), refused
        (how many), shortfall_mean, shortfall_max, violation_max; win rates.
    """
    keys = ["structure", "objectives", "preferences", "reference", "comparisons"]
    return (
        sweep.groupby(keys, sort=False)
        .agg(
            thresholds=("refused", "size"),
            refused=("refused", "sum"),
            shortfall_mean=("shortfall", "mean"),
            shortfall_max=("shortfall", "max"),
            violation_max=("violation", "max"),
        )
        .reset_index()
    )


def _at_thresholds(params: SyntheticParams, task: tuple[Problem, Array]) -> list[dict[str, object]]:
    """A record of every way to solve a problem at its thresholds (K-1,)."""
    problem, thresholds = task
    best = true_front_at(problem.win_rates, thresholds, reference=problem.behaviour)[0][0]
    return [
        {"structure": problem.name, "objectives": problem.objectives}
        | how
        | {f"threshold_{k}": b for k, b in enumerate(thresholds, start=1)}
        | {"refused": values is None}
        | _found(values, thresholds, best)
        for how, values in _runs(problem, thresholds, params)
    ]


def _runs(
    problem: Problem, thresholds: Array, params: SyntheticParams
) -> Iterator[tuple[dict[str, object], Array | None]]:
    """Every way to solve a problem at thresholds (K-1,) with the values (K,) it truly reaches; None where refused."""
    for reference, lag in (("static", None), ("lagged", params.lag)):
        run = run_tabular(
            problem.preferences,
            problem.behaviour,
            thresholds,
            tau=params.tau,
            lag=lag,
            steps=params.steps if lag else None,
        )
        yield {"preferences": "exact", "reference": reference, "comparisons": 0}, run.values
    for n in params.comparisons:
        drawn = sample(problem, n, problem.generator(params.seed, n))
        try:
            solution = solve_sample(problem, drawn, thresholds, params.tau, params.confidence)
            values = problem.values(solution)
        except (InfeasibleThresholdsError, NotConvergedError):
            values = None
        yield {"preferences": "sampled", "reference": "static", "comparisons": n}, values


def _found(values: Array | None, thresholds: Array, best: float) -> dict[str, float]:
    """True values (K,) beside the optimum at thresholds (K-1,); nothing where refused."""
    if values is None:
        return {}
    return {f"value_{k}": v for k, v in enumerate(values)} | {
        "true_optimum": best,
        "shortfall": best - values[0],
        "violation": float((thresholds - values[1:]).max()),
    }
