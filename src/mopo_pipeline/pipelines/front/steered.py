"""The steerable policy as candidates: one model, asked for the thresholds of every point."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.fronts.candidates import STEERABLE, STEERED, Candidate
from mopo_pipeline.fronts.points import SKIPPED
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.valued import Budget


@dataclass(frozen=True)
class Makings:
    """Artifacts a steerable policy is made from.

    Attributes:
        responses, win_rates: a row per response.
        reference, scored: the reference policy's directory and its log-probabilities.
        preference_model: directory.
    """

    responses: pd.DataFrame
    win_rates: pd.DataFrame
    reference: Path
    scored: pd.DataFrame
    preference_model: Path


def steered_candidates(
    makings: Makings,
    front_plan: Mapping[str, Any],
    task: TaskParams,
    plan: PlanParams,
    train: TrainParams,
    params: SteerableParams,
    batch_tokens: int,
) -> list[Candidate]:
    """One policy at the thresholds of all planned points, its making paid by the first; one out of reach is skipped with its reason."""
    from mopo_pipeline.steerable.train import Given, multipliers_of, steerable_policy

    asked = [point for point in front_plan["points"] if point["status"] != SKIPPED]
    if not asked:
        return []
    given = Given(
        makings.responses,
        makings.win_rates,
        multipliers_of(front_plan, task.names),
        Path(makings.reference),
        int(makings.scored["context"].iloc[0]),
        Path(makings.preference_model),
        task,
        plan,
        train,
    )
    try:
        policy = steerable_policy(given, params)
    except MopoError as error:
        return [_candidate(point, task.seed, None, "failed", str(error)) for point in asked]
    found: list[Candidate] = []
    for point in asked:
        try:
            steered = policy.at(point["thresholds"], batch_tokens)
        except InputError as error:
            found.append(_candidate(point, task.seed, None, "skipped", str(error)))
            continue
        paid = any(c.policy is not None for c in found)
        spent = Budget() if paid else policy.spent
        told = {"words": list(steered.words), "shares": list(steered.shares)}
        found.append(_candidate(point, task.seed, steered, "done", "", told, spent))
    return found


def _candidate(
    point: Mapping[str, Any],
    seed: int,
    policy: Any,
    status: str,
    reason: str,
    told: Mapping[str, Any] | None = None,
    spent: Budget | None = None,
) -> Candidate:
    return Candidate(
        STEERABLE,
        STEERED,
        point["point"],
        seed,
        policy,
        status,
        reason,
        {f"threshold_{name}": value for name, value in point["thresholds"].items()},
        told or {},
        spent or Budget(),
    )
