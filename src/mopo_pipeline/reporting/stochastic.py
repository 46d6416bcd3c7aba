"""The published minibatch updates on their way to the exact policy: a panel per structure."""

import pandas as pd
from matplotlib.figure import Figure

from mopo_pipeline.reporting.style import LARGE, NORMAL, SMALL, colour, label, new_figure

COLUMNS = 3


def distance_figure(distances: pd.DataFrame) -> Figure:
    """Total variation to the exact policy over updates: median and range over seeds.

    Args:
        distances: table of ``experiments.stochastic.distances``.
    """
    names = list(dict.fromkeys(distances["structure"]))
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(rows, columns, 4.0 * columns, 3.2 * rows + 0.7)
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        part = distances[distances["structure"] == name]
        for index, (size, runs) in enumerate(part.groupby("batch_size")):
            over_seeds = runs.groupby("update")["distance"]
            middle = over_seeds.median()
            axis.plot(
                middle.index,
                middle,
                color=colour(index),
                linewidth=1.6,
                label=f"{size} rows per update",
            )
            axis.fill_between(
                middle.index,
                over_seeds.min(),
                over_seeds.max(),
                color=colour(index),
                alpha=0.2,
                linewidth=0,
            )
        axis.set_yscale("log")
        label(axis, "updates", "total variation to the exact policy")
        axis.set_title(name.replace("_", " "), fontsize=NORMAL, loc="left")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=6,
        fontsize=SMALL,
        frameon=False,
    )
    seeds = distances["seed"].nunique()
    figure.suptitle(
        f"Minibatch updates beside the exact dual: median and range over {seeds} seeds",
        fontsize=LARGE,
        x=0.01,
        ha="left",
    )
    return figure
