"""A front is a list of plans: thresholds where they can be met together, each solved from its neighbour's multipliers."""

import logging
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.fronts.tree import starts_of
from mopo_pipeline.mopo import DualSolution, Finding, NotConvergedError
from mopo_pipeline.mopo.joint import joint_grid
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.front import FrontParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.plan.make import proposed
from mopo_pipeline.plan.posed import PosedProblem, pose
from mopo_pipeline.plan.thresholds import UnreachableThresholdsError, resolve_thresholds
from mopo_pipeline.progress import track

log = logging.getLogger(__name__)

PLANNED, SKIPPED = "planned", "skipped"

ALIKE = 1e-3
"""Planned win rate up to which two points are one."""


@dataclass(frozen=True)
class PlannedPoint:
    """A point of the front before its training.

    Attributes:
        point: its name.
        thresholds: asked for, by constrained objective.
        status: "planned" or "skipped".
        reason: why it is skipped.
        multipliers: price of each threshold; empty where it is skipped, as what follows.
        values: what the plan promises, all objectives.
        bounds: what it is sure of, constrained ones.
        kl: of the planned policy from the reference, nats.
        ess: effective share of the rows.
        start: the point whose policy this one starts from; None is the reference.
    """

    point: str
    thresholds: dict[str, float]
    status: str = PLANNED
    reason: str = ""
    multipliers: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    kl: float | None = None
    ess: float | None = None
    start: str | None = None


def plan_front(
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    plan: PlanParams,
    params: FrontParams,
) -> dict[str, Any]:
    """Thresholds of all points with their solved plans, and which neighbour each starts from.

    Args:
        win_rates: one row per response.
        comparisons: labelled pairs.
        predictions: the preference model's, row for row with ``comparisons``.
        task: the objectives, first the primary.
        plan: temperature and confidence of every plan.
        params: the grid, or thresholds.

    Returns:
        JSON-ready: ``objectives``, training ``rows``, ``points`` (a ``PlannedPoint`` each), ``findings``.
    """
    if len(task.names) == 1:
        found = Finding(
            "no front",
            1.0,
            2.0,
            "one objective alone has no trade-off: add an objective to task.objectives",
            "info",
        )
        log.warning("%s", found)
        return {
            "objectives": list(task.names),
            "rows": 0,
            "points": [],
            "findings": [found.as_dict()],
        }
    posed = pose(win_rates, comparisons, predictions, task, plan)
    points = planned_points(posed, task, params)
    for point in points:
        if point.status == SKIPPED:
            log.warning("%s skipped: %s", point.point, point.reason)
    findings = [finding.as_dict() for finding in (*posed.unsure, *_alone(task, params))]
    return {
        "objectives": list(task.names),
        "rows": len(posed.rows),
        "points": [asdict(point) for point in points],
        "findings": findings,
    }


def planned_points(
    posed: PosedProblem, task: TaskParams, params: FrontParams
) -> list[PlannedPoint]:
    """Every point, solved one after the other, those out of reach or like another one skipped by name."""
    asked, starts = _asked(posed, task, params)
    points: list[PlannedPoint] = []
    solved: dict[str, Array] = {}
    last: Array | None = None
    for row, thresholds in enumerate(track(asked, "plans of the front")):
        named = dict(zip(posed.names[1:], map(float, thresholds), strict=True))
        point = PlannedPoint(point_name(named), named)
        if any(point.point == other.point for other in points):
            log.warning("%s stands there twice: one policy is trained for it", point.point)
            continue
        try:
            found = posed.solve(thresholds, last if starts is None else starts[row])
        except (UnreachableThresholdsError, NotConvergedError) as error:
            points.append(_skipped(point, str(error)))
            continue
        last, values = found.multipliers, np.asarray(found.values)
        twin = next((n for n, v in solved.items() if np.abs(v - values).max() <= ALIKE), None)
        if twin is not None:
            points.append(_skipped(point, f"the same plan as {twin}"))
            continue
        solved[point.point] = values
        points.append(_solved(point, posed.names, found))
    starting = starts_of(np.array(list(solved.values()))) if solved else []
    names = list(solved)
    start_of = {
        name: None if s is None else names[s] for name, s in zip(names, starting, strict=True)
    }
    return [PlannedPoint(**asdict(p) | {"start": start_of.get(p.point)}) for p in points]


def point_name(thresholds: dict[str, float]) -> str:
    """What a point is called.

    >>> point_name({"harmlessness": 0.5, "conciseness": 0.45})
    'harmlessness=0.500,conciseness=0.450'
    """
    return ",".join(f"{name}={value:.3f}" for name, value in thresholds.items())


def _asked(
    posed: PosedProblem, task: TaskParams, params: FrontParams
) -> tuple[Array, Array | None]:
    """Thresholds (P, K-1) to the digits of their names; with the multipliers (P, K-1) of a grid."""
    if params.thresholds:
        given = [
            proposed(posed, resolve_thresholds(task.objectives, t, posed.attainable))
            for t in params.thresholds
        ]
        return np.asarray(np.round(given, 3), dtype=np.float64), None
    positions = np.linspace(0.0, params.reach, per_objective(params, len(posed.names)))
    thresholds, multipliers = joint_grid(posed.values, positions.tolist(), **posed.given)
    return np.clip(np.floor(thresholds * 1000) / 1000, 0.0, 1.0), multipliers


def per_objective(params: FrontParams, objectives: int) -> int:
    """Positions of every constrained objective on a grid of at most so many points.

    >>> front = FrontParams(data_root=".", points=9)
    >>> per_objective(front, 2), per_objective(front, 3), per_objective(front, 5)
    (9, 3, 1)
    """
    return max(1, int(params.points ** (1.0 / (objectives - 1)) + 1e-9))


def _alone(task: TaskParams, params: FrontParams) -> list[Finding]:
    """A grid of one point is no front; with many objectives it takes many points to be more."""
    constrained = len(task.names) - 1
    if params.thresholds or per_objective(params, len(task.names)) > 1:
        return []
    found = Finding(
        "a grid of one point",
        float(params.points),
        float(2**constrained),
        f"two positions of each of {constrained} thresholds take {2**constrained} points: raise front.points to that, or "
        "name the points in front.thresholds",
    )
    log.warning("%s", found)
    return [found]


def _skipped(point: PlannedPoint, reason: str) -> PlannedPoint:
    return PlannedPoint(point.point, point.thresholds, SKIPPED, reason)


def _solved(point: PlannedPoint, names: tuple[str, ...], solution: DualSolution) -> PlannedPoint:
    def named(array: Array, keys: tuple[str, ...]) -> dict[str, float]:
        """Numbers (k,) by name."""
        return dict(zip(keys, map(float, array), strict=True))

    return PlannedPoint(
        point.point,
        point.thresholds,
        PLANNED,
        "",
        multipliers=named(solution.multipliers, names[1:]),
        values=named(solution.values, names),
        bounds=named(solution.bounds, names[1:]),
        kl=float(solution.kl),
        ess=float(solution.ess),
    )
