"""One figure of the synthetic experiment: a panel per structure."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mopo_pipeline.parameters.synthetic import SyntheticParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3


def synthetic_figure(sweep: pd.DataFrame, params: SyntheticParams) -> "Figure":
    """True front, every alternative, and where static and lagged runs ended (first two objectives)."""
    from matplotlib.figure import Figure

    from mopo_pipeline.pareto.front import true_front

    names = list(params.structures)
    lines = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 3.6 * lines), layout="constrained")
    axes = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes, names, strict=False):
        structure = params.structures[name]
        mass = np.array(structure.behaviour)
        win_rates = (np.array(structure.preferences) @ mass).T
        axis.plot(win_rates[:, 1], win_rates[:, 0], "x", color="0.6", label="alternatives")
        if win_rates.shape[1] == 2:
            front = true_front(win_rates, reference=mass)
            axis.plot(front[:, 1], front[:, 0], color="black", label="true front")
        for reference, marker, colour in (("static", "o", "#1b7837"), ("lagged", "D", "#d95f02")):
            part = sweep[(sweep["structure"] == name) & (sweep["reference"] == reference)]
            axis.plot(part["value_1"], part["value_0"], marker, color=colour, markersize=5,
                      alpha=0.8, label=f"{reference} reference")  # fmt: skip
        axis.set(title=name.replace("_", " "), xlabel="objective 2 (win rate)",
                 ylabel="objective 1 (win rate)")  # fmt: skip
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure
