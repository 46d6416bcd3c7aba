"""One figure per preference structure: the true front and where every kind of run ended."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mopo_pipeline.experiments.structures import Problem, problems
from mopo_pipeline.experiments.true_optima import front_with_vertices, true_optima
from mopo_pipeline.parameters.synthetic import SyntheticParams
from mopo_pipeline.reporting.style import LARGE, NORMAL, OPTIMUM, SMALL, label, new_figure, nothing

SHAPES = "v^><ph"
"""Markers of the sampled runs, smallest dataset first."""


def structure_figures(sweep: pd.DataFrame, params: SyntheticParams) -> dict[str, Figure]:
    """A figure per structure, by file name.

    Two objectives: the values reached, on the true front. Three: a map of the primary's true
    optimum over the two thresholds, and every run at the constrained values it reached, coloured by
    its primary value, so that a run on the front vanishes into the map.

    Args:
        sweep: table of ``experiments.synthetic.sweep``.
        params: the structures.
    """
    by_name: dict[str, dict[int, Problem]] = {name: {} for name in params.structures}
    for problem in problems(params):
        by_name[problem.name][problem.objectives] = problem
    return {
        f"{name}.png": _figure(name, found, sweep[sweep["structure"] == name])
        for name, found in by_name.items()
    }


def _figure(name: str, found: dict[int, Problem], runs: pd.DataFrame) -> Figure:
    panels = [k for k in (2, 3, 3) if k in found]
    if not panels:
        return nothing(f"{name}: more than three objectives have no picture; see the tables.")
    figure, axes = new_figure(1, len(panels), 4.9 * len(panels) + 0.4, 5.4)
    kinds = _kinds(runs)
    if 2 in found:
        _plane(axes[0], found[2], runs[runs["objectives"] == 2], kinds)
    if 3 in found:
        part = runs[runs["objectives"] == 3]
        exact = [kind for kind in kinds if kind["preferences"] == "exact"]
        sampled = [kind for kind in kinds if kind["preferences"] == "sampled"]
        _maps(figure, axes[-2:], found[3], part, (exact, sampled))
    handles = [
        Line2D([], [], color=OPTIMUM, linewidth=1.6, label="true front"),
        Line2D([], [], color="#6E6E6E", marker="x", linestyle="", label="alternatives"),
        *(_handle(kind) for kind in kinds),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        fontsize=SMALL,
        frameon=False,
    )
    figure.suptitle(name.replace("_", " "), fontsize=LARGE + 1, x=0.01, ha="left")
    return figure


def _kinds(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Every kind of run with its colour, marker and name in the legend."""
    found: list[dict[str, Any]] = [
        {"preferences": "exact", "reference": "static", "comparisons": 0, "colour": "#0072B2",
         "marker": "o", "text": "exact, static reference"},
        {"preferences": "exact", "reference": "lagged", "comparisons": 0, "colour": "#D55E00",
         "marker": "D", "text": "exact, lagged reference"},
    ]  # fmt: skip
    sizes = sorted(set(runs.loc[runs["preferences"] == "sampled", "comparisons"]))
    hues = matplotlib.colormaps["Purples"](np.linspace(0.45, 0.95, len(sizes)))
    for index, (size, hue) in enumerate(zip(sizes, hues, strict=True)):
        found.append(
            {
                "preferences": "sampled",
                "reference": "static",
                "comparisons": size,
                "colour": hue,
                "marker": SHAPES[index % len(SHAPES)],
                "text": f"{size:,} sampled comparisons",
            }
        )
    return found


def _handle(kind: dict[str, Any]) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="",
        marker=kind["marker"],
        markersize=6.5,
        color=kind["colour"],
        label=kind["text"],
    )


def _of(runs: pd.DataFrame, kind: dict[str, Any]) -> pd.DataFrame:
    same = (
        (runs["preferences"] == kind["preferences"])
        & (runs["reference"] == kind["reference"])
        & (runs["comparisons"] == kind["comparisons"])
    )
    chosen: pd.DataFrame = runs[same & ~runs["refused"]]
    return chosen


def _plane(axis: Axes, problem: Problem, runs: pd.DataFrame, kinds: list[dict[str, Any]]) -> None:
    front = front_with_vertices(problem)
    axis.plot(front[:, 1], front[:, 0], color=OPTIMUM, linewidth=1.6, zorder=2)
    _alternatives(axis, problem.win_rates[:, 1], problem.win_rates[:, 0])
    for kind in kinds:
        part = _of(runs, kind)
        axis.scatter(
            part["value_1"],
            part["value_0"],
            marker=kind["marker"],
            s=34,
            zorder=4,
            color=kind["colour"],
            edgecolor="white",
            linewidth=0.5,
        )
    axis.margins(0.09)
    label(axis, "objective 2 (win rate)", "objective 1, the primary (win rate)")
    axis.set_title(f"K = 2{_refusals(runs, kinds)}", fontsize=NORMAL, loc="left")


def _maps(
    figure: Figure,
    axes: list[Axes],
    problem: Problem,
    runs: pd.DataFrame,
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    x, y, best = true_optima(problem)
    seen = np.concatenate([best[np.isfinite(best)], runs.loc[~runs["refused"], "value_0"]])
    scale = Normalize(seen.min(), seen.max())
    titles = ("K = 3, exact preferences", "K = 3, sampled comparisons")
    for axis, kinds, title in zip(axes, groups, titles, strict=True):
        drawn = axis.pcolormesh(
            x, y, best.T, norm=scale, cmap="viridis", shading="nearest", zorder=1, rasterized=True
        )
        _alternatives(axis, problem.win_rates[:, 1], problem.win_rates[:, 2])
        for kind in kinds:
            part = _of(runs, kind)
            axis.scatter(
                part["value_1"],
                part["value_2"],
                c=part["value_0"],
                norm=scale,
                s=42,
                cmap="viridis",
                marker=kind["marker"],
                edgecolor=[kind["colour"]],
                linewidth=1.3,
                zorder=4,
            )
        axis.use_sticky_edges = False
        axis.margins(0.05)
        label(axis, "objective 2 (win rate)", "objective 3 (win rate)")
        axis.set_title(title + _refusals(runs, kinds), fontsize=NORMAL, loc="left")
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=30)
    bar.set_label("primary win rate: true optimum (map), reached (fill)", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)


def _alternatives(axis: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Mark every alternative, at x (n,) and y (n,), with its number."""
    axis.scatter(x, y, marker="x", s=36, color="#6E6E6E", linewidth=1.4, zorder=3)
    for index, place in enumerate(zip(x, y, strict=True), start=1):
        axis.annotate(
            str(index),
            place,
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=SMALL,
            color="#4A4A4A",
            zorder=5,
        )


def _refusals(runs: pd.DataFrame, kinds: list[dict[str, Any]]) -> str:
    sizes = [kind["comparisons"] for kind in kinds if kind["preferences"] == "sampled"]
    counts = [int(runs.loc[runs["comparisons"] == size, "refused"].sum()) for size in sizes]
    if not any(counts):
        return ""
    total = int((runs["comparisons"] == sizes[0]).sum())
    return f"\nthresholds refused: {' / '.join(map(str, counts))} of {total}, smallest data first"
