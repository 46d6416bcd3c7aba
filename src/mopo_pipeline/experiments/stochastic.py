"""The published minibatch updates beside the exact dual, on the structures (method.md, section 5)."""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from mopo_pipeline.experiments.structures import Problem, problems, thresholds_above
from mopo_pipeline.experiments.workers import for_each
from mopo_pipeline.mopo import DualSolution, solve_dual
from mopo_pipeline.mopo.schedule.algorithm_1 import run_stochastic
from mopo_pipeline.parameters.synthetic import SyntheticParams


def distances(params: SyntheticParams) -> pd.DataFrame:
    """How far the published updates are from the exact policy, over updates and seeds.

    Exact preferences, the smallest K asked for, thresholds that bind (``thresholds_above``); both
    sides without a bound (``epsilon`` 0), so that they solve the same problem.

    Returns:
        structure, batch_size, seed, update, distance (total variation to the exact policy, in
        [0, 1]), value_gap (primary of the exact policy minus that of the run), violation (the most
        by which a threshold is missed, negative where all are held with room).
    """
    least, given = min(params.objectives), params.stochastic
    chosen = [problem for problem in problems(params) if problem.objectives == least]
    tasks = list(product(chosen, given.batch_sizes, range(given.runs)))
    found = for_each(partial(_one_run, params), tasks, "runs of minibatch updates")
    return pd.concat(found, ignore_index=True)


def _one_run(params: SyntheticParams, task: tuple[Problem, int, int]) -> pd.DataFrame:
    problem, batch_size, seed = task
    given = params.stochastic
    asked = thresholds_above(problem, params.position)
    exact: DualSolution = solve_dual(
        problem.win_rates, asked, tau=params.tau, reference=problem.behaviour
    )
    run = run_stochastic(
        problem.win_rates,
        asked,
        tau=params.tau,
        reference=problem.behaviour,
        rng=problem.generator(params.seed, batch_size, seed),
        steps=given.steps,
        batch_size=batch_size,
        multiplier_step=given.multiplier_step,
        policy_step=given.policy_step,
        record_every=given.record_every,
    )
    values = run.policies @ problem.win_rates
    return pd.DataFrame(
        {
            "structure": problem.name,
            "batch_size": batch_size,
            "seed": seed,
            "update": run.history["step"],
            "distance": np.abs(run.policies - exact.ratio * problem.behaviour).sum(axis=1) / 2,
            "value_gap": exact.values[0] - values[:, 0],
            "violation": (asked - values[:, 1:]).max(axis=1),
        }
    )
