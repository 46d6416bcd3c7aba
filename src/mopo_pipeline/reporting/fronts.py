"""Where the policy stands: every pair of objectives against its front."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.style import (
    LARGE,
    NORMAL,
    OPTIMUM,
    POLICY,
    REFERENCE,
    SMALL,
    THRESHOLD,
    label,
    new_figure,
    nothing,
)
from mopo_pipeline.reporting.values import ESTIMATORS, value_and_interval


def front_figure(
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    exact: dict[str, Any],
    estimator: str | None,
) -> Figure:
    """One panel per pair of objectives: exact fronts, thresholds, reference and attained point."""
    names = plan.objectives
    pairs = list(combinations(range(len(names)), 2))
    if not pairs or estimator is None:
        return nothing("A front needs two objectives with an estimate of each.")
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, axes = new_figure(rows, columns, 4.3 * columns, 4.1 * rows + 0.8)
    for axis in axes[len(pairs) :]:
        axis.remove()
    fronts = {(f["x"], f["y"]): f for f in exact.get("fronts", [])}
    for axis, (first, second) in zip(axes, pairs, strict=False):
        x, y = names[second], names[first]
        _pair_panel(axis, x, y, fronts.get((x, y)), objective_values, estimator, plan, exact)
    handles: dict[str, Any] = {}
    for axis in axes[: len(pairs)]:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(text, handle)
    labels = list(handles)
    figure.legend(
        [handles[t] for t in labels],
        labels,
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL,
        frameon=False,
    )
    figure.suptitle(
        f"Every pair of objectives. Policy and reference: {ESTIMATORS[estimator]}",
        fontsize=LARGE,
        x=0.01,
        ha="left",
    )
    return figure


def _pair_panel(
    axis: Axes,
    x: str,
    y: str,
    front: dict[str, Any] | None,
    values: pd.DataFrame,
    estimator: str,
    plan: TrainingPlan,
    exact: dict[str, Any],
) -> None:
    seen = [_front_lines(axis, front, plan.tau)] if front else []
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
            markersize=8,
            color=hue,
            zorder=5,
            capsize=2.5,
            elinewidth=1.2,
            linestyle="",
            label=f"{policy}, with interval",
        )
        seen.append(np.array([[px, py]]))
    found = exact["optimum"]["values"] if exact.get("optimum") else None
    target: Any = found or plan.values
    axis.plot(
        target[x],
        target[y],
        "*",
        markersize=16,
        markerfacecolor=OPTIMUM if found else "white",
        color=OPTIMUM,
        zorder=4,
        label="exact optimum under all thresholds" if found else "planned target (estimated)",
    )
    seen.append(np.array([[target[x], target[y]]]))
    _limits(axis, np.concatenate(seen), plan.thresholds.get(x), plan.thresholds.get(y))
    label(axis, f"{x} (win rate)", f"{y} (win rate)")
    axis.set_title(_conditions(front, plan.objectives), fontsize=NORMAL, loc="left")


def _conditions(front: dict[str, Any] | None, names: tuple[str, ...]) -> str:
    """What the fronts of a panel assume about the objectives it does not show."""
    if front is None:
        return ""
    free = [n for n in names if n not in (front["x"], front["y"], *front["held"])]
    held = f"{_list(front['held'])} at the threshold or better" if front["held"] else ""
    return held + (", " if held and free else "") + (f"whatever the {_list(free)}" if free else "")


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
        label=f"exact front with the KL price $\\tau$ = {tau:g}",
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
