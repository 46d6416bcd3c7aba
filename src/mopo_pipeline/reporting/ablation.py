"""Ablations as pictures: how each variant moved while it trained, and where the method is stable."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mopo_pipeline.arrays import Array
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.reporting.picture import Picture, drawn, themed
from mopo_pipeline.reporting.style import (
    LARGE,
    NORMAL,
    SMALL,
    THRESHOLD,
    colour,
    label,
    new_figure,
    nothing,
)
from mopo_pipeline.reporting.templates import environment

LOG = Path("06_models") / "training_log.parquet"
PLAN = Path("05_model_input") / "training_plan.json"
REFERENCE = "reference"
HELD, MISSED, STOPPED, UNASKED = "held", "missed", "stopped", "no threshold"
MARKS = {HELD: "●", MISSED: "○", STOPPED: "✕", UNASKED: "–"}
"""How a variant ended: all thresholds met, one missed, no policy at all, or nothing asked of one of these objectives."""

AT_KEYS = re.compile(r",(?=[a-z_]+(?:\.[A-Za-z0-9_-]+)+=)")
"""Where a setting's next parameter begins; a comma within a value stands before none."""

TITLE = 6.4
"""Inches that the title of the stable region takes."""


def draw_ablation(
    ablation_points: pd.DataFrame, ablation_runs: Mapping[str, Any], task: TaskParams
) -> dict[str, Picture]:
    """Pictures by name.

    Args:
        ablation_points: a row per variant.
        ablation_runs: how each run ended, by sweep and setting; its folder holds the training log.
        task: whose objectives.
    """
    logs = {
        name: pd.read_parquet(Path(run["folder"]) / LOG)
        for name, run in ablation_runs.items()
        if (Path(run["folder"]) / LOG).is_file()
    }
    made = {
        "trajectories": (
            trajectory_figure(logs, task.names),
            "Multipliers and distance from the reference over steps, a row per sweep",
        ),
        "stability": (
            stability_figure(ablation_points, task.names),
            "Value less threshold of every variant, sweep by sweep",
        ),
    }
    return {name: drawn(figure, name, alt) for name, (figure, alt) in made.items()}


def ablation_page(
    ablation_points: pd.DataFrame, stability: Picture, trajectories: Picture, task: TaskParams
) -> str:
    """Both pictures and every variant with its values on one page that opens from disk.

    Args:
        ablation_points: a row per variant.
        stability: picture of ``draw_ablation``.
        trajectories: likewise.
        task: whose objectives.
    """
    figures = {"stability": stability, "trajectories": trajectories}
    return (
        environment()
        .get_template("ablation.html.j2")
        .render(
            figures={name: themed(picture.svg) for name, picture in figures.items()},
            objectives=task.names,
            rows=variant_rows(ablation_points, task.names),
        )
    )


def variant_rows(points: pd.DataFrame, objectives: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every variant, and the reference, as the page shows it.

    Args:
        points: ``ablation_points``.
        objectives: K names, the primary first.
    """
    ended = endings(points, least_margin(points, objectives))
    return [
        {
            "sweep": row["method"].replace("_", " "),
            "setting": short(row["point"]),
            "ended": "" if row["method"] == REFERENCE else end,
            "reason": row["reason"],
            "values": [
                {
                    "value": _known(row[f"value_{name}"]),
                    "threshold": _known(row.get(f"threshold_{name}", np.nan)),
                }
                for name in objectives
            ],
            "kl": _known(row["kl"]),
            "well_formed": _known(row.get("well_formed", np.nan)),
        }
        for end, (_, row) in zip(ended, points.iterrows(), strict=True)
    ]


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def trajectory_figure(logs: Mapping[str, pd.DataFrame], objectives: tuple[str, ...]) -> Figure:
    """What each variant's multipliers and distance from the reference were over its steps, a row per sweep.

    Args:
        logs: training logs by ``sweep/setting``.
        objectives: K names, the primary first.
    """
    sweeps = list(dict.fromkeys(name.partition("/")[0] for name in logs))
    columns = {f"multiplier_{name}": f"λ of {name}" for name in objectives[1:]}
    columns["kl_to_reference"] = "log-ratio on weighted rows (nats)"
    if not sweeps:
        return nothing("No variant left a training log.")
    figure, axes = new_figure(len(sweeps), len(columns), 4.0 * len(columns), 2.9 * len(sweeps))
    for row, sweep in enumerate(sweeps):
        own = {n.partition("/")[2]: log for n, log in logs.items() if n.startswith(f"{sweep}/")}
        for place, (column, unit) in enumerate(columns.items()):
            axis = axes[row * len(columns) + place]
            _lines(axis, own, column)
            label(axis, "step", unit, sweep.replace("_", " ") if place == 0 else "")
    return figure


def _lines(axis: Axes, logs: Mapping[str, pd.DataFrame], column: str) -> None:
    """A line per variant; its name stands once, on the last panel of the row."""
    for index, (name, log) in enumerate(logs.items()):
        if column not in log or log[column].dropna().empty:
            continue
        rows = log.dropna(subset=[column])
        style = ("-", "--", ":", "-.")[index // 6 % 4]
        axis.plot(
            rows["step"],
            rows[column],
            color=colour(index),
            linestyle=style,
            linewidth=1.6,
            marker="o" if len(rows) < 3 else "",
            label=short(name),
        )
    if column == "kl_to_reference" and axis.lines:
        axis.legend(fontsize=SMALL - 1, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def stability_figure(points: pd.DataFrame, objectives: tuple[str, ...]) -> Figure:
    """Every variant by its primary and by the threshold it is nearest to missing, sweep by sweep: above zero all are met.

    Args:
        points: ``ablation_points``.
        objectives: K names, the primary first.
    """
    own = points.loc[points["method"] != REFERENCE]
    if own.empty:
        return nothing("No variant was run.")
    sweeps = list(dict.fromkeys(own["method"]))
    figure, axes = new_figure(1, len(sweeps), max(3.6 * len(sweeps) + 0.6, TITLE), 3.6)
    for axis, sweep in zip(axes, sweeps, strict=True):
        part = own.loc[own["method"] == sweep].reset_index(drop=True)
        margin = least_margin(part, objectives)
        ended = endings(part, margin)
        places = np.arange(len(part))
        axis.axhline(0.0, color=THRESHOLD, linewidth=1.2)
        axis.bar(
            places, np.nan_to_num(margin), color=[colour(0 if e == HELD else 2) for e in ended]
        )
        axis.use_sticky_edges = False
        axis.margins(y=0.12)
        for place, end in enumerate(ended):
            axis.text(place, 0.0, MARKS[end], ha="center", va="bottom", fontsize=LARGE)
        axis.set_xticks(places, [short(p) for p in part["point"]], rotation=75, fontsize=SMALL - 1)
        axis.set_title(sweep.replace("_", " "), fontsize=NORMAL, loc="left")
    label(axes[0], "", "value less threshold,\nleast of all thresholds")
    figure.suptitle(
        "Stable region: ● all thresholds met, ○ one missed, ✕ no policy",
        fontsize=LARGE,
        x=0.01,
        ha="left",
    )
    return figure


def least_margin(points: pd.DataFrame, objectives: tuple[str, ...]) -> Array:
    """Value less threshold (n,), the least over the constrained objectives; NaN where there is no policy."""
    gaps = [points[f"value_{n}"] - points[f"threshold_{n}"] for n in objectives[1:]]
    if not gaps:
        return np.full(len(points), np.nan)
    return np.asarray(pd.concat(gaps, axis=1).min(axis=1, skipna=False), dtype=np.float64)


def endings(points: pd.DataFrame, margin: Array) -> list[str]:
    """How each variant ended, by its status and its least margin (n,)."""
    return [
        STOPPED if status != "done" else UNASKED if np.isnan(gap) else MISSED if gap < 0 else HELD
        for status, gap in zip(points["status"], margin, strict=True)
    ]


def short(setting: str) -> str:
    """A setting without the groups of its keys.

    >>> short("plan.tau=0.1,train.lag=fresh+0.9")
    'tau=0.1, lag=fresh+0.9'
    >>> short("train.lora.target_modules=['a.q', 'a.v'],plan.tau=1")
    "target_modules=['a.q', 'a.v'], tau=1"
    """
    parts = [part.partition("=") for part in AT_KEYS.split(setting)]
    return ", ".join(f"{key.rpartition('.')[2]}{sign}{value}" for key, sign, value in parts)
