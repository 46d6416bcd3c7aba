"""What the labels say and how well the preference model reads them."""

from itertools import combinations
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mopo_pipeline.reporting.style import (
    NORMAL,
    REFERENCE,
    SMALL,
    WIDE,
    WIDEST,
    Sheet,
    colour,
    label,
    new_figure,
    nothing,
)

ON_DARK, ON_LIGHT = "#fefefe", "#010101"
"""Numbers on the cells of a heat map, which are as they are in any theme."""


def calibration_figure(
    metrics: dict[str, Any], objectives: tuple[str, ...], sheet: Sheet = WIDE
) -> Figure:
    """Reliability diagram per objective: predicted against observed share of wins."""
    known = metrics.get("objectives") or {}
    if not known:
        method = metrics.get("method", "this method")
        return nothing(f"No calibration: {method} win rates come straight from the labels.", sheet)
    columns = min(sheet.columns, len(objectives))
    rows = -(-len(objectives) // columns)
    figure, axes = new_figure(rows, columns, WIDEST / 3 * columns, 3.95 * rows)
    for axis in axes[len(objectives) :]:
        axis.remove()
    for index, (axis, name) in enumerate(zip(axes, objectives, strict=False)):
        axis.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1.0, linestyle="--")
        bins = known.get(name, {}).get("bins", [])
        if bins:
            x, y, n = (np.array([b[k] for b in bins]) for k in ("predicted", "observed", "count"))
            axis.errorbar(
                x,
                y,
                yerr=1.96 * np.sqrt(np.maximum(y * (1 - y), 0.25 / n) / n),
                color=colour(index),
                linewidth=1.3,
                capsize=2,
                zorder=2,
            )
            axis.scatter(x, y, s=12 + 160 * n / n.max(), color=colour(index), alpha=0.75, zorder=3)
            axis.text(
                0.04, 0.96, _facts(known[name]), transform=axis.transAxes, va="top", fontsize=SMALL
            )
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_aspect("equal")
        observed = "observed share of wins" if index % columns == 0 else ""
        label(axis, "predicted win probability", observed, name)
    return figure


def calibration_alt(metrics: dict[str, Any], objectives: tuple[str, ...]) -> str:
    """How far predictions are off on average, in words."""
    known = metrics.get("objectives") or {}
    told = [
        f"{name} {known[name]['ece']:.3f}"
        for name in objectives
        if known.get(name, {}).get("ece") is not None
    ]
    return (
        f"Mean distance of predicted from observed win shares: {'; '.join(told)}."
        if told
        else "No calibration is known."
    )


def agreement_figure(
    agreement: pd.DataFrame, objectives: tuple[str, ...], sheet: Sheet = WIDE
) -> Figure:
    """Heat map of how often two objectives prefer the same response, -1 to 1."""
    matrix = _matrix(agreement, objectives)
    size = len(objectives)
    if size == 1:
        return nothing("One objective: nothing to agree with.", sheet)
    narrow = 2.2 + 1.2 * size > sheet.width
    width = min(2.2 + 1.2 * size, sheet.width)
    figure, (axis,) = new_figure(1, 1, width, 0.7 + 0.6 * size + (1.0 if narrow else 0.0))
    axis.pcolormesh(
        np.ma.masked_where(np.eye(size, dtype=bool), matrix),
        cmap="PuOr_r",
        vmin=-1.0,
        vmax=1.0,
        edgecolors="none",
    )
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.invert_yaxis()
    middles = np.arange(size) + 0.5
    axis.set_xticks(middles, [fill(name, 14) for name in objectives], fontsize=SMALL)
    if narrow:
        axis.tick_params(axis="x", rotation=90)
    axis.set_yticks(
        middles, [fill(name, 14 if narrow else 24) for name in objectives], fontsize=SMALL
    )
    for i, j in np.argwhere(np.isfinite(matrix) & ~np.eye(size, dtype=bool)):
        dark = abs(matrix[i, j]) > 0.6
        axis.text(
            j + 0.5,
            i + 0.5,
            f"{matrix[i, j]:+.2f}",
            ha="center",
            va="center",
            fontsize=NORMAL,
            color=ON_DARK if dark else ON_LIGHT,
        )
    return figure


def agreement_alt(agreement: pd.DataFrame, objectives: tuple[str, ...]) -> str:
    """How far each two objectives agree, in words."""
    matrix = _matrix(agreement, objectives)
    told = [
        f"{objectives[i]} and {objectives[j]} {matrix[i, j]:+.2f}"
        for i, j in combinations(range(len(objectives)), 2)
    ]
    return f"Agreement: {'; '.join(told)}." if told else "One objective: nothing to agree with."


def _matrix(agreement: pd.DataFrame, objectives: tuple[str, ...]) -> np.ndarray:
    """Agreement (K, K) in [-1, 1]; NaN where no comparison has labels of both."""
    names = list(objectives)
    return agreement.set_index("objective").loc[names, names].to_numpy(float)


def _facts(metrics: dict[str, Any]) -> str:
    lines = [
        f"{title} {metrics[key]:.{digits}f}"
        for key, title, digits in (
            ("accuracy", "accuracy", 2),
            ("brier", "Brier", 3),
            ("ece", "ECE", 3),
        )
        if metrics.get(key) is not None
    ]
    if curve := metrics.get("learning_curve"):
        lines.append(f"twice the labels +{curve['twice']:.3f}")
    if own := metrics.get("own_labels"):
        lines.append(f"log loss, words {own['log_loss_words']:.3f}")
        lines.append(f"with own labels {own['log_loss']:.3f}")
    return "\n".join(lines)
