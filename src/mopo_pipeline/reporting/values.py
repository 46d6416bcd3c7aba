"""What every objective attained, against its threshold and the range the plan gave it."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.style import (
    FILL,
    NORMAL,
    OPTIMUM,
    POLICY,
    REFERENCE,
    THRESHOLD,
    WIDE,
    Sheet,
    label,
    legend_below,
    new_figure,
    nothing,
)

ESTIMATORS = {
    "exact": "exact (all answers enumerated)",
    "rules": "sampled answers, judged by rules",
    "reward_models": "sampled answers, judged by reward models",
    "chat": "sampled answers, compared by a chat model with a rubric each",
    "own": "sampled answers, judged by a judge of your own",
    "preference_model": "sampled answers, judged by a preference model of the validation split",
    "doubly_robust": "test labels, re-weighted (doubly robust)",
    "labels": "test labels, normalised within each prompt",
}
"""What each estimator of a value is, most trusted first."""

_MARKERS = {
    "exact": "D", "rules": "s", "reward_models": "P", "chat": "X", "own": "p", "preference_model": "^",
    "doubly_robust": "v", "labels": "<",
}  # fmt: skip


def value_figure(
    objective_values: pd.DataFrame, plan: TrainingPlan, exact: dict[str, Any], sheet: Sheet = WIDE
) -> Figure:
    """One row per objective: attainable range, threshold, reference, policy by every estimator."""
    names = plan.objectives
    shown = [e for e in ESTIMATORS if e in set(objective_values["estimator"])]
    if not shown:
        return nothing("No judge and no test labels: nothing estimates the objectives.", sheet)
    lines = len(shown) + 4 if sheet is WIDE else 2 * len(shown) + 5
    per_objective, legend = 0.4 + 0.14 * (len(shown) + 2), 0.24 * lines
    figure, (axis,) = new_figure(
        1, 1, min(9.0, sheet.width), 0.9 + per_objective * len(names) + legend
    )
    lanes = np.linspace(-0.28, 0.28, len(shown) + 2)
    for row, name in enumerate(names):
        _range_and_threshold(axis, row, plan, name)
        if exact.get("optimum"):
            best = exact["optimum"]["values"][name]
            text = _once(row, "exact optimum under the thresholds")
            axis.plot(best, row + lanes[0], "*", markersize=11, color=OPTIMUM, zorder=3, label=text)
        _value_point(axis, objective_values, "reference", name, shown[0], row + lanes[1], REFERENCE)
        for estimator, lane in zip(shown, lanes[2:], strict=True):
            _value_point(axis, objective_values, "policy", name, estimator, row + lane, POLICY)
    _legend_entry(axis, "reference", shown[0], REFERENCE)
    for estimator in shown:
        _legend_entry(axis, "policy", estimator, POLICY)
    axis.axvline(0.5, color=REFERENCE, linewidth=0.9, linestyle=":", zorder=2)
    width = 24 if sheet is WIDE else 15
    titles = [f"{fill(name, width)}\n({_role(plan, name)})" for name in names]
    axis.set_yticks(range(len(names)), titles, fontsize=NORMAL)
    axis.invert_yaxis()
    axis.margins(x=0.03)
    axis.grid(False, axis="y")
    against = "win rate against the behaviour policy of the data (0.5: as good as the data)"
    label(axis, sheet.broken(against, indent=1.4), "")
    legend_below(figure, [axis], 1, sheet)
    return figure


def value_alt(objective_values: pd.DataFrame, plan: TrainingPlan, estimator: str | None) -> str:
    """What the figure shows in words: per objective the attained value, its interval and what was asked."""
    if estimator is None:
        return "Nothing estimates what the policy attained."
    told = []
    for name in plan.objectives:
        point = value_and_interval(objective_values, "policy", estimator, name)
        if point is None:
            continue
        value, ends = point
        between = "" if ends is None else f" [{value - ends[0, 0]:.3f}, {value + ends[1, 0]:.3f}]"
        asked = plan.thresholds.get(name)
        told.append(f"{name} {value:.3f}{between}{'' if asked is None else f' for {asked:.3f}'}")
    return f"Attained, by {ESTIMATORS[estimator]}: {'; '.join(told)}."


def _range_and_threshold(axis: Axes, row: int, plan: TrainingPlan, name: str) -> None:
    low, high = plan.attainable[name]
    axis.barh(
        row,
        high - low,
        left=low,
        height=0.76,
        color=FILL,
        zorder=1,
        label=_once(row, "attainable, estimated on the training data"),
    )
    threshold = plan.thresholds.get(name)
    if threshold is not None:
        axis.plot(
            [threshold] * 2,
            [row - 0.4, row + 0.4],
            color=THRESHOLD,
            linewidth=2.2,
            zorder=3,
            label=_once(row - 1, "threshold"),
        )


def _legend_entry(axis: Axes, policy: str, estimator: str, hue: str) -> None:
    text = f"{policy}: {ESTIMATORS[estimator]}"
    axis.plot([], [], _MARKERS[estimator], color=hue, markersize=6, label=text)


def _value_point(
    axis: Axes,
    values: pd.DataFrame,
    policy: str,
    name: str,
    estimator: str,
    height: float,
    hue: str,
) -> None:
    point = value_and_interval(values, policy, estimator, name)
    if point is None:
        return
    centre, error = point
    axis.errorbar(
        centre,
        height,
        xerr=error,
        marker=_MARKERS[estimator],
        markersize=5.5,
        color=hue,
        capsize=2,
        elinewidth=1.2,
        linestyle="",
        zorder=4,
    )


def value_and_interval(
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
