"""How often thresholds truly hold when win rates are estimated from sampled comparisons."""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.experiments.structures import (
    Problem,
    problems,
    sample,
    solve_sample,
    thresholds_above,
)
from mopo_pipeline.experiments.workers import for_each
from mopo_pipeline.mopo import InfeasibleThresholdsError, NotConvergedError, solve_dual
from mopo_pipeline.mopo.solution import MET
from mopo_pipeline.parameters.synthetic import SyntheticParams


def coverage(params: SyntheticParams) -> pd.DataFrame:
    """Replicates of whole datasets: how often the thresholds truly hold, and what that costs.

    The thresholds are those of ``thresholds_above``. Every confidence sees the same datasets.

    Returns:
        One row per structure, objectives (K), comparisons and confidence, with

        - threshold_<k>;
        - refused: share of the datasets on which the thresholds were out of reach, or that were too few to
          plan for them;
        - held_<k>, held: share of the others on which threshold k, and all of them, truly held;
        - missed_<k>, missed: share of all datasets that were answered with a policy that misses
          threshold k, and any; what the confidence promises is missed <= 1 - confidence;
        - binding: share of the others with a multiplier > 0;
        - loss, loss_sd: primary of the exact optimum of (1) at the same thresholds minus the true
          primary reached, mean and standard deviation over the others.

        NaN where every dataset was refused.
    """
    settings = [
        (problem, n, thresholds_above(problem, params.position))
        for problem in problems(params)
        for n in params.comparisons
    ]
    tasks = list(product(settings, range(params.replicates)))
    found = for_each(partial(_replicate, params), tasks, "sampled datasets")
    rows: list[dict[str, object]] = []
    for index, (problem, n, asked) in enumerate(settings):
        outcomes = found[index * params.replicates : (index + 1) * params.replicates]
        best = solve_dual(
            problem.win_rates, asked, tau=params.tau, reference=problem.behaviour
        ).values[0]
        for confidence, solved in zip(params.confidences, np.stack(outcomes, axis=1), strict=True):
            rows.append(
                {
                    "structure": problem.name,
                    "objectives": problem.objectives,
                    "comparisons": n,
                    "confidence": confidence,
                }
                | {f"threshold_{k}": b for k, b in enumerate(asked, start=1)}
                | _summary(solved, asked, best)
            )
    return pd.DataFrame(rows)


def _replicate(params: SyntheticParams, task: tuple[tuple[Problem, int, Array], int]) -> Array:
    """True values and the largest multiplier at every confidence, (confidences, K + 1).

    NaN where refused. The draws depend on the replicate's own number alone. Bounds fall as the
    confidence rises, so what is out of reach at one confidence is out of reach at all higher ones.
    """
    (problem, n, thresholds), replicate = task
    drawn = sample(problem, n, problem.generator(params.seed, n, replicate))
    found = np.full((len(params.confidences), problem.objectives + 1), np.nan)
    for index in np.argsort(params.confidences):
        try:
            solution = solve_sample(
                problem, drawn, thresholds, params.tau, params.confidences[index]
            )
        except InfeasibleThresholdsError:
            break
        except NotConvergedError:
            continue
        found[index] = *problem.values(solution), solution.multipliers.max()
    return found


def _summary(outcomes: Array, thresholds: Array, best: float) -> dict[str, float]:
    """What is told of the outcomes (replicates, K + 1) of ``_replicate`` at thresholds (K-1,)."""
    solved = outcomes[~np.isnan(outcomes[:, 0])]
    held = solved[:, 1:-1] >= thresholds - MET
    answered = len(solved) / len(outcomes)
    summary = {"refused": 1 - answered}
    names = [f"_{k}" for k in range(1, len(thresholds) + 1)] + [""]
    for name, kept in zip(names, [*held.T, held.all(axis=1)], strict=True):
        share = float(kept.mean()) if len(kept) else np.nan
        summary |= {f"held{name}": share, f"missed{name}": float((~kept).sum() / len(outcomes))}
    if not len(solved):
        return summary
    loss = best - solved[:, 0]
    return summary | {
        "binding": float((solved[:, -1] > 0).mean()),
        "loss": float(loss.mean()),
        "loss_sd": float(loss.std()),
    }
