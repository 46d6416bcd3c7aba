"""Where the policy stands: every objective against its threshold, every pair against its front."""

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

ESTIMATORS = {
    "exact": "exact (all answers enumerated)",
    "rules": "sampled answers, judged by rules",
    "reward_models": "sampled answers, judged by reward models",
    "preference_model": "sampled answers, judged by a preference model of the validation split",
    "doubly_robust": "test labels, re-weighted (doubly robust)",
    "labels": "test labels, normalised within each prompt",
}
"""What each estimator of a value is, most trusted first."""

_MARKERS = {
    "exact": "D", "rules": "s", "reward_models": "P", "preference_model": "^", "doubly_robust": "v",
    "labels": "<",
}  # fmt: skip


def value_figure(
    objective_values: pd.DataFrame, plan: TrainingPlan, exact: dict[str, Any]
) -> Figure:
    """One row per objective: attainable range, threshold, reference, policy by every estimator."""
    names = plan.objectives
    shown = [e for e in ESTIMATORS if e in set(objective_values["estimator"])]
    if not shown:
        return nothing("No judge and no test labels: nothing estimates the objectives.")
    figure, (axis,) = new_figure(1, 1, 9.0, 1.9 + 0.8 * len(names) + 0.16 * len(shown))
    lanes = np.linspace(-0.24, 0.24, len(shown)) if len(shown) > 1 else np.zeros(1)
    for row, name in enumerate(names):
        low, high = plan.attainable[name]
        axis.barh(row, high - low, left=low, height=0.76, color="#EFEFEF", zorder=1,
                  label=_once(row, "attainable, estimated on the training data"))  # fmt: skip
        threshold = plan.thresholds.get(name)
        if threshold is not None:
            axis.plot([threshold] * 2, [row - 0.4, row + 0.4], color=THRESHOLD, linewidth=2.2,
                      zorder=3, label=_once(row - 1, "threshold"))  # fmt: skip
        if exact.get("optimum"):
            axis.plot(exact["optimum"]["values"][name], row + lanes[0], marker="*", markersize=13,
                      color=OPTIMUM, linestyle="", zorder=3,
                      label=_once(row, "exact optimum under the thresholds"))  # fmt: skip
        _value_point(axis, objective_values, "reference", name, shown[0], row + lanes[0], REFERENCE)
        for estimator, lane in zip(shown, lanes, strict=True):
            _value_point(axis, objective_values, "policy", name, estimator, row + lane, POLICY)
    axis.plot([], [], marker=_MARKERS[shown[0]], color=REFERENCE, linestyle="", markersize=6,
              label=f"reference: {ESTIMATORS[shown[0]]}")  # fmt: skip
    for estimator in shown:
        axis.plot([], [], marker=_MARKERS[estimator], color=POLICY, linestyle="", markersize=6,
                  label=f"policy: {ESTIMATORS[estimator]}")  # fmt: skip
    axis.axvline(0.5, color="#A0A0A0", linewidth=0.9, linestyle=":", zorder=2)
    axis.set_yticks(range(len(names)), [f"{n}\n({_role(plan, n)})" for n in names], fontsize=NORMAL)
    axis.invert_yaxis()
    axis.margins(x=0.03)
    axis.grid(False, axis="y")
    label(axis, "win rate against the behaviour policy of the data (0.5: as good as the data)", "",
          f"What the policy attained, {objective_values['level'].iloc[0]:.0%} intervals over prompts")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    return figure


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
    figure.legend([handles[t] for t in labels], labels, loc="outside lower center",
                  ncols=3, fontsize=SMALL, frameon=False)  # fmt: skip
    figure.suptitle(f"Every pair of objectives. Policy and reference: {ESTIMATORS[estimator]}",
                    fontsize=LARGE, x=0.01, ha="left")  # fmt: skip
    return figure


def _pair_panel(
    axis: Axes, x: str, y: str, front: dict[str, Any] | None, values: pd.DataFrame,
    estimator: str, plan: TrainingPlan, exact: dict[str, Any],
) -> None:  # fmt: skip
    seen = [_front_lines(axis, front, plan.tau)] if front else []
    for policy, marker, hue in (("reference", "o", REFERENCE), ("policy", "D", POLICY)):
        point = _point(values, policy, estimator, x, y)
        if point is None:
            continue
        (px, ex), (py, ey) = point
        axis.errorbar(px, py, xerr=ex, yerr=ey, marker=marker, markersize=8, color=hue, zorder=5,
                      capsize=2.5, elinewidth=1.2, linestyle="", label=f"{policy}, with interval")  # fmt: skip
        seen.append(np.array([[px, py]]))
    if exact.get("optimum"):
        best = exact["optimum"]["values"]
        axis.plot(best[x], best[y], marker="*", markersize=16, color=OPTIMUM, linestyle="", zorder=4,
                  label="exact optimum under all thresholds")  # fmt: skip
        seen.append(np.array([[best[x], best[y]]]))
    else:
        target: Any = plan.values
        axis.plot(target[x], target[y], marker="*", markersize=15, markerfacecolor="white",
                  color=OPTIMUM, linestyle="", zorder=4, label="planned target (estimated)")  # fmt: skip
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
    axis.plot(*kept.T, color=OPTIMUM, linewidth=1.4, linestyle=(0, (4, 2)),
              label=f"exact front with the KL price $\\tau$ = {tau:g}")  # fmt: skip
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
    axis.fill_between([left, high[0]], bottom, high[1], color=THRESHOLD, alpha=0.09, zorder=0,
                      linewidth=0, label="thresholds held")  # fmt: skip
    if x is not None:
        axis.axvline(x, color=THRESHOLD, linewidth=1.4, label="threshold")
    if y is not None:
        axis.axhline(y, color=THRESHOLD, linewidth=1.4, label="threshold")


def _value_point(
    axis: Axes,
    values: pd.DataFrame,
    policy: str,
    name: str,
    estimator: str,
    height: float,
    hue: str,
) -> None:
    point = _value(values, policy, estimator, name)
    if point is None:
        return
    centre, error = point
    axis.errorbar(centre, height, xerr=error, marker=_MARKERS[estimator], markersize=5.5, color=hue,
                  capsize=2, elinewidth=1.2, linestyle="", zorder=4)  # fmt: skip


def _point(
    values: pd.DataFrame, policy: str, estimator: str, x: str, y: str
) -> tuple[tuple[float, Any], tuple[float, Any]] | None:
    found = _value(values, policy, estimator, x), _value(values, policy, estimator, y)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _value(
    values: pd.DataFrame, policy: str, estimator: str, name: str
) -> tuple[float, np.ndarray | None] | None:
    """A value and the distances to its interval's ends, (2, 1); None where there is none."""
    keys = (values["policy"] == policy) & (values["estimator"] == estimator)
    row = values.loc[keys & (values["objective"] == name)]
    if row.empty or not np.isfinite(row["value"].iloc[0]):
        return None
    value = float(row["value"].iloc[0])
    ends = np.array([[value - row["ci_low"].iloc[0]], [row["ci_high"].iloc[0] - value]])
    return value, np.maximum(ends, 0.0) if np.isfinite(ends).all() else None


def _role(plan: TrainingPlan, name: str) -> str:
    threshold = plan.thresholds.get(name)
    return "primary" if threshold is None else f"at least {threshold:.3f}"


def _once(index: int, text: str) -> str:
    """The legend text for the first row only."""
    return text if index == 0 else "_" + text
