"""The pocket task's truth: exact optimum, exact fronts, exact values of trained models.

Every answer to a prompt can be enumerated, so a policy's value is a sum over its own
probabilities, the constrained optimum is solved over all answers, and the front needs no sampling.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.evaluation.fronts import Front, regularised_front, unregularised_front
from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import of_shares
from mopo_pipeline.pareto.intervals import Interval, prompt_bootstrap, sum_by
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.streams import Stream, generator

UNKNOWN: dict[str, Any] = {
    "optimum": None,
    "behaviour": None,
    "reference": None,
    "policy": None,
    "well_formed": None,
    "level": None,
    "fronts": [],
}
"""What is known of a task whose answers cannot be enumerated."""


def exact_reference(
    prompts: list[str],
    units: list[str],
    reference_policy: Path,
    policy: Path,
    plan: TrainingPlan,
    params: EvaluateParams,
    seed: int,
) -> dict[str, Any]:
    """Everything that can be known exactly about the pocket task on these prompts.

    Args:
        prompts: test prompts of the pocket task.
        units: what each was drawn with.
        reference_policy: directory of the reference model.
        policy: directory of the trained model.
        plan: the training plan; its tau and thresholds pose the problem.
        params: interval and front sizes.
        seed: of the bootstrap over units.

    Returns:
        JSON-ready: ``optimum`` of (1), values of ``behaviour``, ``reference`` and ``policy`` (each
        objective's value, standard error, interval and number of units; malformed answers win
        nothing), the ``level`` of the intervals, the ``well_formed`` mass of both models, ``fronts`` per pair of objectives.
    """
    from mopo_pipeline.pocket import task as pocket

    objectives = plan.objectives
    problem = pocket.exact_problem(prompts, objectives)
    win_rates = np.asarray(problem.win_rates)
    thresholds = np.array([plan.thresholds[name] for name in objectives[1:]])
    found: dict[str, Any] = {
        "behaviour": dict.fromkeys(objectives, 0.5),
        "well_formed": {},
        "level": params.confidence,
    }
    rows = [prompts[g] for g in problem.groups]
    drawn = pd.factorize(np.array(units, dtype=object))[0].astype(np.intp)
    counts = np.bincount(drawn).astype(np.float64)
    for name, directory in (("reference", reference_policy), ("policy", policy)):
        mass = answer_mass(directory, rows, list(problem.texts), params, name)
        found["well_formed"][name] = float(mass.sum() / len(prompts))
        per_prompt = (mass[:, None] * win_rates).reshape(len(prompts), -1, len(objectives)).sum(1)
        interval = of_shares(
            prompt_bootstrap(
                sum_by(per_prompt, drawn, len(counts)),
                counts[:, None],
                confidence=params.confidence,
                draws=params.bootstrap,
                rng=generator(seed, Stream.EXACT_VALUES),
            )
        )
        found[name] = {o: _described(interval, k) for k, o in enumerate(objectives)}
    found["optimum"] = _optimum(problem, win_rates, thresholds, plan)
    found["fronts"] = exact_fronts(problem, win_rates, thresholds, plan, params.front_points)
    return found


def _described(interval: Interval, k: int) -> dict[str, Any]:
    """One objective's part of an interval."""
    return {
        "value": float(interval.estimate[k]),
        "se": _known(interval.se[k]),
        "ci_low": _known(interval.low[k]),
        "ci_high": _known(interval.high[k]),
        "n": int(interval.n[k]),
        "freedom": _known(interval.freedom[k]),
    }


def answer_mass(
    directory: Path, prompts: list[str], texts: list[str], params: EvaluateParams, name: str
) -> Array:
    """Probability a model gives to each enumerated answer, (n,)."""
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import sequence_logprobs

    scored = sequence_logprobs(
        *load_model(directory),
        prompts,
        texts,
        batch_tokens=params.batch_tokens,
        description=f"every answer, {name}",
    )
    return np.exp(scored.logprob)


def exact_fronts(
    problem: Any, win_rates: Array, thresholds: Array, plan: TrainingPlan, points: int
) -> list[dict[str, Any]]:
    """Fronts of every pair of objectives by win rates (N, K) and thresholds (K-1,), with and without the KL term.

    A pair with the primary holds every other threshold; a pair of constrained objectives leaves
    the primary free, for there it is the thresholds' own room that is asked about.
    """
    objectives = plan.objectives
    if points < 2 or len(objectives) < 2:
        return []
    fronts = []
    for x in range(1, len(objectives)):
        for y in range(x):
            held = [k for k in range(1, len(objectives)) if k not in (x, y)] if y == 0 else []
            floors = {k: float(thresholds[k - 1]) for k in held}
            free = unregularised_front(
                win_rates, problem.reference, problem.groups, x, y, floors, points
            )
            kept = regularised_front(
                win_rates, problem.reference, problem.groups, x, y, floors, points, plan.tau
            )
            fronts.append(
                {
                    "x": objectives[x],
                    "y": objectives[y],
                    "held": [objectives[k] for k in held],
                    "unregularised": _points(free),
                    "regularised": _points(kept),
                }
            )
    return fronts


def _optimum(
    problem: Any, win_rates: Array, thresholds: Array, plan: TrainingPlan
) -> dict[str, Any] | None:
    """Problem (1) on win rates (N, K) with thresholds (K-1,); None where they are out of reach."""
    objectives = plan.objectives
    try:
        solution = solve_dual(
            win_rates,
            thresholds,
            tau=plan.tau,
            reference=problem.reference,
            groups=problem.groups,
        )
    except InfeasibleThresholdsError:
        return None
    return {
        "values": dict(zip(objectives, map(float, solution.values), strict=True)),
        "multipliers": dict(zip(objectives[1:], map(float, solution.multipliers), strict=True)),
        "kl": float(solution.kl),
    }


def _points(front: Front) -> list[list[float]]:
    return [[float(x), float(y)] for x, y in front]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
