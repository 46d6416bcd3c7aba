"""The steerable policy as candidates: one model, asked for the thresholds of every point."""

from collections.abc import Mapping
from typing import Any

from mopo_pipeline.errors import MopoError
from mopo_pipeline.fronts.candidates import STEERABLE, STEERED, Candidate
from mopo_pipeline.fronts.points import SKIPPED
from mopo_pipeline.parameters.steerable import SteerableParams
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.steerable.train import Given, steerable_policy


def steered_candidates(
    given: Given, front_plan: Mapping[str, Any], params: SteerableParams, batch_tokens: int
) -> list[Candidate]:
    """One policy at the thresholds of all planned points, the nearest where they are out of its reach; its making is paid by the first.

    Args:
        given: what it is made from.
        front_plan: as ``plan_front`` left it.
        params: of its making.
        batch_tokens: padded tokens per scoring batch.
    """
    asked = [point for point in front_plan["points"] if point["status"] != SKIPPED]
    if not asked:
        return []
    seed = given.task.seed
    try:
        policy = steerable_policy(given, params)
    except MopoError as error:
        return [_candidate(point, seed, None, "failed", str(error)) for point in asked]
    found: list[Candidate] = []
    for point in asked:
        steered = policy.at(point["thresholds"], batch_tokens, nearest=True)
        spent = Budget() if found else policy.spent
        told = {"words": list(steered.words), "shares": list(steered.shares)}
        found.append(_candidate(point, seed, steered, "done", "", told, spent))
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
