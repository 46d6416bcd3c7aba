"""What happened while the policy was trained."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.style import (
    INTERVAL,
    POLICY,
    REFERENCE,
    SMALL,
    THRESHOLD,
    WIDE,
    WIDEST,
    Sheet,
    colour,
    label,
    legend_below,
    new_figure,
    nothing,
)

PANELS = (
    ("weighted_nll", "weighted NLL\n(nats per mean response length)", "Loss (logarithmic)"),
    (
        "kl_to_reference",
        "log-ratio on weighted rows\n(nats per response)",
        "Distance to the reference",
    ),
    ("ess", "effective share of rows", "Share of rows that counts"),
)
STILL = "Multipliers and thresholds stayed where the plan put them."
ALONE = "One objective: no thresholds, no multipliers."
STYLES = ("-", "--", "-.", ":")


def training_figure(
    training_log: pd.DataFrame, reference_log: pd.DataFrame, sheet: Sheet = WIDE
) -> Figure:
    """Weighted negative log-likelihood, KL to the reference and effective sample size by step; what never moves is left out."""
    if "step" not in training_log or training_log.empty:
        return nothing("Nothing was logged in training.", sheet)
    panels = [
        panel for panel in PANELS if panel[0] == "weighted_nll" or _moves(training_log, panel[0])
    ]
    columns = min(sheet.columns, len(panels))
    lines = len(panels) // columns
    figure, axes = new_figure(lines, columns, min(WIDEST / 3 * columns, sheet.width), 3.2 * lines)
    for axis, (column, unit, title) in zip(axes, panels, strict=True):
        for log, name, hue in (
            (reference_log, "reference", REFERENCE),
            (training_log, "policy", POLICY),
        ):
            own = name == "policy" or column == "weighted_nll"
            rows = log.dropna(subset=[column]) if own and column in log else log.iloc[:0]
            if len(rows):
                axis.plot(
                    rows["step"],
                    rows[column],
                    color=hue,
                    linewidth=1.7,
                    label=name,
                    marker="o" if len(rows) < 3 else "",
                )
        if column == "ess":
            axis.set_ylim(0.0, 1.05)
        if column == "weighted_nll" and axis.lines:
            _logarithmic(axis)
        if axis.lines:
            axis.legend(fontsize=SMALL, frameon=False)
        else:
            axis.text(
                0.5, 0.5, "not logged", transform=axis.transAxes, ha="center", color=REFERENCE
            )
        label(axis, "step", unit, title)
    return figure


def training_alt(training_log: pd.DataFrame) -> str:
    """First and last of what the figure shows, in words."""
    told = [
        f"{title.lower()} {rows.iloc[0]:.3g} to {rows.iloc[-1]:.3g}"
        for column, _, title in PANELS
        if column in training_log and len(rows := training_log[column].dropna())
    ]
    return (
        f"From the first logged step to the last: {'; '.join(told)}."
        if told
        else "Nothing was logged."
    )


def _logarithmic(axis: Axes) -> None:
    """A logarithmic axis whose ticks are numbers as people write them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _moves(log: pd.DataFrame, column: str) -> bool:
    """Whether a column of a log takes more than one value."""
    known = log[column].dropna() if column in log else log.iloc[:0, 0]
    return bool(len(known)) and bool((known - known.iloc[0]).abs().max() > 1e-9)


def validation_figure(
    training_log: pd.DataFrame, plan: TrainingPlan, sheet: Sheet = WIDE
) -> Figure:
    """What validation prompts said of the policy, per objective with 95 % intervals, beside what was asked and aimed at."""
    names = plan.objectives
    looked = [name for name in names if f"validation_{name}" in training_log]
    if not looked:
        return nothing("Validation prompts were not looked at in training.", sheet)
    columns = min(sheet.columns, len(names))
    lines = -(-len(names) // columns)
    width = min(max(WIDEST / 3 * columns, 5.0), sheet.width)
    figure, axes = new_figure(lines, columns, width, 3.0 * lines + (0.6 if columns > 1 else 1.2))
    for axis in axes[len(names) :]:
        axis.remove()
    for index, (axis, name) in enumerate(zip(axes, names, strict=False)):
        rows = training_log.dropna(subset=[f"validation_{name}"])
        axis.errorbar(
            rows["step"],
            rows[f"validation_{name}"],
            yerr=INTERVAL * rows[f"validation_{name}_se"],
            color=colour(index),
            marker="o",
            capsize=3.0,
            linewidth=1.4,
            label="seen, 95 % interval",
        )
        if index:
            threshold, aimed = training_log[f"threshold_{name}"], training_log[f"raised_{name}"]
            axis.axhline(
                plan.thresholds[name] or 0.0, color=THRESHOLD, linewidth=1.4, label="threshold"
            )
            axis.step(
                rows["step"],
                rows[f"required_{name}"],
                where="mid",
                color=THRESHOLD,
                linestyle="--",
                linewidth=1.2,
                label="wanted, for a certificate",
            )
            if aimed.any():
                axis.step(
                    training_log["step"],
                    threshold + aimed,
                    where="post",
                    color=REFERENCE,
                    linestyle=":",
                    label="aimed at by labels",
                )
        label(axis, "step", "win rate" if index % columns == 0 else "", name)
    legend_below(figure, axes[: len(names)], columns if columns > 1 else 1, sheet)
    return figure


def validation_alt(training_log: pd.DataFrame, plan: TrainingPlan) -> str:
    """The last look at each objective, in words."""
    told = []
    for name in plan.objectives:
        rows = training_log.get(f"validation_{name}", pd.Series(dtype=float)).dropna()
        if len(rows):
            asked = plan.thresholds.get(name)
            told.append(f"{name} {rows.iloc[-1]:.3f}{'' if asked is None else f' for {asked:.3f}'}")
    return (
        f"Last seen on validation prompts: {'; '.join(told)}."
        if told
        else "Validation prompts were not looked at in training."
    )


def multiplier_figure(
    training_log: pd.DataFrame, plan: TrainingPlan, sheet: Sheet = WIDE
) -> Figure:
    """Multipliers (the price of each threshold) and the thresholds in force by step, where they move."""
    names = plan.constrained
    moved = [
        (key, title)
        for key, title in (
            ("multiplier", "Multipliers λ: the price of each threshold"),
            ("threshold", "Thresholds in force"),
        )
        if any(_moves(training_log, f"{key}_{name}") for name in names)
    ]
    if not moved:
        return nothing(STILL if names else ALONE, sheet)
    columns = min(sheet.columns, len(moved))
    rows = len(moved) // columns
    width = min(max(WIDEST / 2 * columns, 5.4), sheet.width)
    figure, axes = new_figure(rows, columns, width, 3.3 * rows)
    for axis, (key, title) in zip(axes, moved, strict=True):
        for index, name in enumerate(names, start=1):
            column = training_log[f"{key}_{name}"].dropna()
            axis.step(
                training_log.loc[column.index, "step"],
                column,
                where="post",
                color=colour(index),
                linewidth=1.9,
                linestyle=STYLES[(index - 1) % len(STYLES)],
                label=name,
            )
        bottom, top = axis.get_ylim()
        room = 0.15 * max(top - bottom, 0.1)
        axis.set_ylim(0.0 if key == "multiplier" else max(bottom - room, 0.0), top + room)
        label(axis, "step", "", title)
    legend_below(figure, axes, min(sheet.columns, len(names)), sheet)
    return figure


def multiplier_alt(training_log: pd.DataFrame, plan: TrainingPlan) -> str:
    """Where each multiplier began and ended, in words."""
    told = [
        f"{name} {training_log[key].dropna().iloc[0]:.3f} to {training_log[key].dropna().iloc[-1]:.3f}"
        for name in plan.constrained
        if _moves(training_log, key := f"multiplier_{name}")
    ]
    if told:
        return f"Multipliers over training: {'; '.join(told)}."
    return STILL if plan.constrained else ALONE
