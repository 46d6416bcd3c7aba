"""The table of the report's points: who stands where, and who dominates whom."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto import hypervolume, non_dominated
from mopo_pipeline.plan.training_plan import TrainingPlan


def pareto_report(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    estimator: str | None,
    reference_point: float,
) -> pd.DataFrame:
    """Points of a run in objective space, all maximised.

    Args:
        objective_values: values by policy, objective and estimator.
        plan: the training plan; its planned values are a point.
        exact: exact reference; its optimum is a point where it is known.
        estimator: which estimate of the models is compared.
        reference_point: every coordinate of the hypervolume's reference point.

    Returns:
        point (reference, policy, planned target, exact optimum), estimator, one column per
        objective, ``non_dominated`` among the points shown, and ``hypervolume`` of the point alone.

    Raises:
        InputError: a value is not finite.
    """
    names = list(plan.objectives)
    rows: list[tuple[str, str, Array]] = []
    for policy in ("reference", "policy"):
        values = point_of(objective_values, policy, estimator, names)
        if values is not None:
            rows.append((policy, str(estimator), values))
    rows.append(("planned target", "plan", np.array([plan.values[n] for n in names])))
    if exact.get("optimum"):
        best = exact["optimum"]["values"]
        rows.append(("exact optimum", "exact", np.array([best[n] for n in names])))
    points = np.array([values for _, _, values in rows])
    bad = ~np.isfinite(points)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise InputError(
            f"the {rows[row][0]}'s value of {names[column]!r} is {points[row, column]}; every point needs "
            "finite values: check objective_values"
        )
    corner = np.full(len(names), reference_point)
    table = pd.DataFrame({"point": [r[0] for r in rows], "estimator": [r[1] for r in rows]})
    table[names] = points
    table["non_dominated"] = non_dominated(points)
    table["hypervolume"] = [hypervolume(point[None, :], corner) for point in points]
    return table


def point_of(
    objective_values: pd.DataFrame, policy: str, estimator: str | None, names: list[str]
) -> Array | None:
    """A policy's values (K,) by one estimator; None where it does not have them all."""
    keys = (objective_values["policy"] == policy) & (objective_values["estimator"] == estimator)
    found = objective_values.loc[keys].set_index("objective")["value"]
    if not set(names) <= set(found.index):
        return None
    return found.loc[names].to_numpy(dtype=np.float64)
