"""Tables of the report: Pareto standing, sampled answers side by side."""

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


def sample_pairs(
    completions: pd.DataFrame, scores: pd.DataFrame, objectives: tuple[str, ...], prompts: int
) -> list[dict[str, Any]]:
    """The first answer of both models to evenly spaced prompts: drawn, not chosen.

    Returns:
        Per prompt its chat messages and, per policy, the answer and its win rate per objective by
        the first judge.
    """
    from mopo_pipeline.tables import chat_messages

    everything = completions.drop_duplicates("prompt_id")["prompt_id"].to_numpy()
    if prompts < 1 or not len(everything):
        return []
    places = np.unique(
        np.linspace(0, len(everything) - 1, min(prompts, len(everything))).astype(int)
    )
    first = completions.drop_duplicates(["prompt_id", "policy"])
    judge = scores["judge"].iloc[0] if len(scores) else None
    judged = scores.loc[scores["judge"] == judge].set_index("completion_id")
    rates = {name: judged[f"{name}_win_rate"].astype(float).to_dict() for name in objectives}
    shown = []
    for prompt_id in everything[places]:
        entry: dict[str, Any] = {"judge": judge, "answers": {}}
        for _, row in first.loc[first["prompt_id"] == prompt_id].iterrows():
            entry["messages"] = chat_messages(row["prompt"])
            known = judge is not None and row["completion_id"] in judged.index
            entry["answers"][row["policy"]] = {
                "text": row["completion"],
                "win_rates": {
                    name: rates[name][row["completion_id"]] for name in objectives if known
                },
            }
        shown.append(entry)
    return shown
