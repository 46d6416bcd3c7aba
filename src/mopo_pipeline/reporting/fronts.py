"""Where the policy stands: every pair of objectives against its front."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mopo_pipeline.pareto.verdicts import capitalised
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.style import (
    OPTIMUM,
    POLICY,
    REFERENCE,
    SMALL,
    THRESHOLD,
    WIDE,
    WIDEST,
    Sheet,
    label,
    legend_below,
    new_figure,
    nothing,
)
from mopo_pipeline.reporting.values import value_and_interval

Planned = Mapping[str, Sequence[Sequence[float]]]
"""By constrained objective (n, 2) its threshold and the primary that the plan would give, the other thresholds kept."""


def front_figure(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    estimator: str | None,
    planned: Planned,
    sheet: Sheet = WIDE,
) -> Figure:
    """One panel per pair of objectives: fronts, thresholds, reference and attained point.

    Args:
        objective_values: values with intervals.
        plan: thresholds and planned values.
        exact: exact fronts and optimum where they are known.
        estimator: whose values are shown; None where nothing could judge.
        planned: by constrained objective (n, 2) thresholds and the primary that the data would give.
        sheet: what it is drawn on.
    """
    names = plan.objectives
    pairs = list(combinations(range(len(names)), 2))
    if not pairs or estimator is None:
        return nothing("A front needs two objectives with an estimate of each.", sheet)
    columns = min(sheet.columns, len(pairs))
    rows = -(-len(pairs) // columns)
    width = min(max(WIDEST / 3 * columns, 5.4), sheet.width)
    figure, axes = new_figure(rows, columns, width, 3.6 * rows + (0.9 if columns > 1 else 2.2))
    for axis in axes[len(pairs) :]:
        axis.remove()
    fronts = {(f["x"], f["y"]): f for f in exact.get("fronts", [])}
    for axis, (first, second) in zip(axes, pairs, strict=False):
        x, y = names[second], names[first]
        seen = [_front_lines(axis, found, plan.tau)] if (found := fronts.get((x, y))) else []
        if y == names[0] and len(planned.get(x, ())) > 1:
            seen.append(_planned_line(axis, np.array(planned[x])))
        seen += _points(axis, objective_values, estimator, x, y)
        seen.append(_target(axis, plan, exact, x, y))
        _limits(axis, np.concatenate(seen), plan.thresholds.get(x), plan.thresholds.get(y))
        label(axis, f"{x} (win rate)", f"{y} (win rate)")
        axis.set_title(_conditions(fronts.get((x, y)), names), fontsize=SMALL, loc="left")
    legend_below(figure, axes[: len(pairs)], 2 if columns > 1 else 1, sheet)
    return figure


def front_alt(
    objective_values: pd.DataFrame, plan: TrainingPlan, estimator: str | None, planned: Planned
) -> str:
    """What the figure shows in words: whether the policy lies in the area of the thresholds, and what lies around it."""
    if estimator is None or not plan.constrained:
        return "No front: it needs two objectives with an estimate of each."
    held, told = [], []
    for name in plan.constrained:
        point = value_and_interval(objective_values, "policy", estimator, name)
        asked = plan.thresholds[name]
        if point is not None and asked is not None:
            held.append(f"{name} {'at or above' if point[0] >= asked else 'below'} its threshold")
        if len(planned.get(name, ())) > 1:
            (low, dear), (high, cheap) = planned[name][-1], planned[name][0]
            told.append(
                f"the data would give {plan.objectives[0]} {cheap:.3f} with {name} at {high:.3f} and {dear:.3f} at {low:.3f}"
            )
    return f"The policy stands with {', '.join(held)}. {capitalised('; '.join(told))}."


def _planned_line(axis: Axes, points: np.ndarray) -> np.ndarray:
    """Draw what the data would give (n, 2), the other thresholds held; returns it."""
    axis.plot(
        *points.T,
        color=THRESHOLD,
        linewidth=1.4,
        linestyle=":",
        label="planned front: other thresholds kept, from the data",
    )
    return points


def _points(axis: Axes, values: pd.DataFrame, estimator: str, x: str, y: str) -> list[np.ndarray]:
    """Draw reference and policy with their intervals; returns what they reach to, (m, 2) each."""
    seen = []
    for policy, marker, hue in (("reference", "o", REFERENCE), ("policy", "D", POLICY)):
        point = _point(values, policy, estimator, x, y)
        if point is None:
            continue
        (px, ex), (py, ey) = point
        axis.errorbar(
            px,
            py,
            xerr=ex,
            yerr=ey,
            marker=marker,
            markersize=7,
            color=hue,
            zorder=5,
            capsize=2.5,
            elinewidth=1.2,
            linestyle="",
            label=f"{policy}, with interval",
        )
        wide, high = (np.zeros((2, 1)) if e is None else e for e in (ex, ey))
        seen.append(
            np.array([[px - wide[0, 0], py - high[0, 0]], [px + wide[1, 0], py + high[1, 0]]])
        )
    return seen


def _target(axis: Axes, plan: TrainingPlan, exact: dict[str, Any], x: str, y: str) -> np.ndarray:
    """Draw where the thresholds lead, exactly where that is known; returns the point (1, 2)."""
    found = exact["optimum"]["values"] if exact.get("optimum") else None
    target: Any = found or plan.values
    axis.plot(
        target[x],
        target[y],
        "*",
        markersize=14,
        markerfacecolor=OPTIMUM if found else "white",
        color=OPTIMUM,
        zorder=4,
        label="exact optimum under all thresholds" if found else "planned target (estimated)",
    )
    return np.array([[target[x], target[y]]])


def _conditions(front: dict[str, Any] | None, names: tuple[str, ...]) -> str:
    """What the fronts of a panel assume about the objectives it does not show."""
    if front is None:
        return ""
    free = [n for n in names if n not in (front["x"], front["y"], *front["held"])]
    held = f"{_list(front['held'])} at the threshold or better" if front["held"] else ""
    said = held + (", " if held and free else "") + (f"whatever the {_list(free)}" if free else "")
    return fill(said, 40)


def _list(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _front_lines(axis: Axes, front: dict[str, Any], tau: float) -> np.ndarray:
    """Draw both fronts; returns their points (n, 2)."""
    free = np.array(front["unregularised"]).reshape(-1, 2)
    kept = np.array(front["regularised"]).reshape(-1, 2)
    axis.plot(*free.T, color=OPTIMUM, linewidth=1.6, label="exact Pareto front")
    axis.plot(
        *kept.T,
        color=OPTIMUM,
        linewidth=1.4,
        linestyle=(0, (4, 2)),
        label=f"exact front with the KL price τ = {tau:g}",
    )
    return np.concatenate([free, kept])


def _limits(axis: Axes, seen: np.ndarray, x: float | None, y: float | None) -> None:
    """Frame the points (n, 2) that were drawn, then shade where the thresholds are held."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    for i, bound in enumerate((x, y)):
        if bound is not None:
            low[i], high[i] = min(low[i], bound), max(high[i], bound)
    room = np.maximum(0.06 * (high - low), 0.02)
    low, high = low - room, high + room
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(low[1], high[1])
    left, bottom = low[0] if x is None else x, low[1] if y is None else y
    axis.fill_between(
        [left, high[0]],
        bottom,
        high[1],
        color=THRESHOLD,
        alpha=0.09,
        zorder=0,
        linewidth=0,
        label="thresholds held",
    )
    if x is not None:
        axis.axvline(x, color=THRESHOLD, linewidth=1.4, label="threshold")
    if y is not None:
        axis.axhline(y, color=THRESHOLD, linewidth=1.4, label="threshold")


def _point(
    values: pd.DataFrame, policy: str, estimator: str, x: str, y: str
) -> tuple[tuple[float, Any], tuple[float, Any]] | None:
    found = [value_and_interval(values, policy, estimator, name) for name in (x, y)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])
