"""What the labels say and how well the preference model reads them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mopo_pipeline.reporting.style import (
    LARGE,
    NORMAL,
    REFERENCE,
    SMALL,
    colour,
    label,
    new_figure,
    nothing,
)


def calibration_figure(metrics: dict[str, Any], objectives: tuple[str, ...]) -> Figure:
    """Reliability diagram per objective: predicted against observed share of wins."""
    known = metrics.get("objectives") or {}
    if not known:
        method = metrics.get("method", "this method")
        return nothing(f"No calibration: {method} win rates come straight from the labels.")
    columns = min(4, len(objectives))
    rows = -(-len(objectives) // columns)
    figure, axes = new_figure(rows, columns, 3.3 * columns, 3.4 * rows)
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
        label(
            axis, "predicted win probability", "observed share of wins" if index == 0 else "", name
        )
    figure.suptitle(
        "Preference model: predictions on comparisons it was not fitted to",
        fontsize=LARGE,
        x=0.01,
        ha="left",
    )
    return figure


def agreement_figure(agreement: pd.DataFrame, objectives: tuple[str, ...]) -> Figure:
    """Heat map of how often two objectives prefer the same response, -1 to 1."""
    matrix = (
        agreement.set_index("objective").loc[list(objectives), list(objectives)].to_numpy(float)
    )
    size = len(objectives)
    figure, (axis,) = new_figure(1, 1, 2.6 + 0.85 * size, 1.4 + 0.8 * size)
    image = axis.imshow(matrix, cmap="PuOr_r", vmin=-1.0, vmax=1.0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.set_xticks(range(size), objectives, rotation=25, ha="right", fontsize=NORMAL)
    axis.set_yticks(range(size), objectives, fontsize=NORMAL)
    for i in range(size):
        for j in range(size):
            if np.isfinite(matrix[i, j]):
                dark = abs(matrix[i, j]) > 0.6
                axis.text(
                    j,
                    i,
                    f"{matrix[i, j]:+.2f}",
                    ha="center",
                    va="center",
                    fontsize=NORMAL,
                    color="white" if dark else "black",
                )
    axis.set_title("Do two objectives prefer the same answer?", fontsize=NORMAL, loc="left")
    bar = figure.colorbar(image, ax=axis, shrink=0.85, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["always opposite", "unrelated", "always alike"], fontsize=SMALL)
    return figure


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
