"""What happened while the policy was trained."""

import pandas as pd
from matplotlib.figure import Figure

from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.style import (
    INTERVAL,
    NORMAL,
    POLICY,
    REFERENCE,
    SMALL,
    THRESHOLD,
    colour,
    label,
    new_figure,
    nothing,
)


def training_figure(training_log: pd.DataFrame, reference_log: pd.DataFrame) -> Figure:
    """Weighted negative log-likelihood, KL to the reference and effective sample size by step."""
    panels = [
        ("weighted_nll", "weighted NLL\n(nats per mean response length)", "Loss (logarithmic)"),
        (
            "kl_to_reference",
            "log-ratio on weighted rows\n(nats per response)",
            "Distance to the reference",
        ),
        ("ess", "effective share of rows", "Weights: share of rows that counts"),
    ]
    if "step" not in training_log or training_log.empty:
        return nothing("Nothing was logged in training.")
    figure, axes = new_figure(1, 3, 12.0, 3.3)
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
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(fontsize=SMALL, frameon=False)
        else:
            axis.text(
                0.5, 0.5, "not logged", transform=axis.transAxes, ha="center", color=REFERENCE
            )
        label(axis, "step", unit, title)
    return figure


def validation_figure(training_log: pd.DataFrame, plan: TrainingPlan) -> Figure:
    """What validation prompts said of the policy, per objective with 95 % intervals, beside what was asked and aimed at."""
    names = plan.objectives
    looked = [name for name in names if f"validation_{name}" in training_log]
    if not looked:
        return nothing("Validation prompts were not looked at in training.")
    figure, axes = new_figure(1, len(names), 3.9 * len(names), 3.3)
    for index, (axis, name) in enumerate(zip(axes, names, strict=True)):
        rows = training_log.dropna(subset=[f"validation_{name}"])
        axis.errorbar(
            rows["step"],
            rows[f"validation_{name}"],
            yerr=INTERVAL * rows[f"validation_{name}_se"],
            color=colour(index),
            marker="o",
            capsize=3.0,
            linewidth=1.4,
            label="seen, 95 %",
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
        axis.legend(fontsize=SMALL, frameon=False)
        label(axis, "step", "win rate" if index == 0 else "", name)
    return figure


def multiplier_figure(training_log: pd.DataFrame, plan: TrainingPlan) -> Figure:
    """Multipliers (the price of each threshold) and the thresholds themselves by step."""
    names = plan.objectives[1:]
    if not names:
        return nothing("One objective: no thresholds, no multipliers.")
    figure, axes = new_figure(1, 2, 10.0, 3.4)
    steps = training_log["step"] if "step" in training_log else pd.Series(dtype=float)
    for axis, key, title in (
        (axes[0], "multiplier", "Multipliers $\\lambda_k$: the price of each threshold"),
        (axes[1], "threshold", "Thresholds $b_k$"),
    ):
        moved = False
        for index, name in enumerate(names, start=1):
            planned = getattr(plan, f"{key}s")[name]
            column = training_log.get(f"{key}_{name}")
            if column is None or column.dropna().empty:
                axis.axhline(planned, color=colour(index), label=name)
                continue
            kept = column.notna()
            moved |= bool((column[kept] - column[kept].iloc[0]).abs().max() > 1e-9)
            axis.step(
                steps[kept],
                column[kept],
                where="post",
                color=colour(index),
                linewidth=1.9,
                linestyle=("-", "--", "-.", ":")[(index - 1) % 4],
                label=name,
            )
        axis.legend(fontsize=SMALL, frameon=False)
        bottom, top = axis.get_ylim()
        room = 0.15 * max(top - bottom, 0.1)
        axis.set_ylim(0.0 if key == "multiplier" else max(bottom - room, 0.0), top + room)
        label(axis, "step", "", title)
        if not moved:
            axis.text(
                0.02,
                0.03,
                "constant: static reference, fixed thresholds",
                transform=axis.transAxes,
                fontsize=SMALL,
                color=REFERENCE,
            )
        axis.title.set_fontsize(NORMAL + 1)
    return figure
