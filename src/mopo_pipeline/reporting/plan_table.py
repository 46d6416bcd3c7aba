"""What a plan says before anything is trained, as rows for machines and as a table in the terminal."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import knee
from mopo_pipeline.pareto.bounds import MIN_PROMPTS
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.summary import digits, number, span

STEP = 0.01
"""Of a threshold, whose price is told."""

HEADINGS = (
    "\nasked",
    "range\nalone",
    "with\nothers",
    "\nplanned",
    "lower\nbound",
    "+.01\ncosts",
    "\nlabels",
    "at 2x\nlabels",
)
"""Columns after the objective's name."""


def plan_table(
    plan: TrainingPlan,
    paths: Sequence[Array],
    proposed: Sequence[str],
    power: Mapping[str, Any],
    *,
    lowered: Sequence[Array] = (),
    free: Array | None = None,
) -> dict[str, Any]:
    """A plan's rows, one per objective, for machines; unknown values are None.

    ``together`` is what a threshold can be raised to while the others are held, ``price`` what raising it by ``STEP``
    costs the primary (its multiplier, as far as that is constant), ``bound_at_twice`` about what the lower bound would be
    with twice the labels, ``half_width`` how wide the certificate will be, ``free`` the value where the primary alone
    is heeded, ``front`` thresholds and the primary they leave, from where the threshold costs nothing to ``together``.

    Args:
        plan: as solved.
        paths: K-1 arrays (n, 2) of threshold and primary as each threshold alone is raised.
        proposed: names of objectives whose thresholds were left out.
        power: what a certificate could say.
        lowered: K-1 arrays (n, 2) as ``paths``, as each threshold alone is lowered, its own place last.
        free: (K,) values of the policy that heeds the primary alone.
    """
    alone = dict(zip(plan.objectives, () if free is None else free, strict=False))
    below = dict(zip(plan.constrained, lowered, strict=False))
    outlook = {entry["objective"]: entry for entry in power.get("outlook", [])}
    primary = plan.objectives[0]
    rows: list[dict[str, Any]] = [_row(plan, primary) | {"free": number(alone.get(primary))}]
    for name, path in zip(plan.constrained, paths, strict=True):
        bend = knee(path)
        multiplier, value, bound = (
            number(table[name]) for table in (plan.multipliers, plan.values, plan.bounds)
        )
        sure = plan.assured and value is not None and bound is not None
        rows.append(
            _row(plan, name)
            | {
                "asked": number(plan.thresholds[name]),
                "proposed": name in proposed,
                "together": float(path[-1, 0]),
                "bound": bound if plan.assured else None,
                "price": None if multiplier is None else STEP * multiplier,
                "effective": number(plan.effective_comparisons.get(name)),
                "bound_at_twice": _at_twice(value, bound) if sure else None,
                "half_width": number(outlook.get(name, {}).get("half_width")),
                "prompts": outlook.get(name, {}).get("prompts"),
                "margin": plan.margin(name),
                "knee": None if bend is None else float(path[bend, 0]),
                "free": number(alone.get(name)),
                "front": [*np.asarray(below.get(name, path[:0]))[:-1].tolist(), *path.tolist()],
            }
        )
    return {
        "objectives": rows,
        "comparisons": plan.comparisons,
        "assurance": plan.assurance,
        "prompts": power.get("prompts"),
        "drawn": power.get("drawn"),
    }


def _row(plan: TrainingPlan, name: str) -> dict[str, Any]:
    low, high = plan.attainable[name]
    missing = (
        "asked",
        "together",
        "bound",
        "price",
        "effective",
        "bound_at_twice",
        "half_width",
        "prompts",
        "margin",
        "free",
    )
    return {
        "name": name,
        "attainable_low": number(low),
        "attainable_high": number(high),
        "planned": number(plan.values[name]),
        "proposed": False,
        "knee": None,
        "front": [],
    } | dict.fromkeys(missing)


def _at_twice(value: float | None, bound: float | None) -> float:
    """A bound whose distance from its value shrinks as one over the root of the labels."""
    assert value is not None
    assert bound is not None
    return value - max(value - bound, 0.0) / math.sqrt(2.0)


def print_plan_table(told: Mapping[str, Any], command: str = "") -> None:
    """Print the table, columns that say nothing left out, and what it means; fits 80 columns.

    ``command`` is what a user would run next.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        "[i]Plan: win rates against the data's own answers (data: 0.5)[/i]", highlight=False
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("objective", no_wrap=True, min_width=14)
    cells = [_cells(row, primary=place == 0) for place, row in enumerate(told["objectives"])]
    shown = [place for place in range(len(HEADINGS)) if any(texts[place] for texts in cells)]
    for place in shown:
        table.add_column(HEADINGS[place], justify="right", no_wrap=True)
    for row, texts in zip(told["objectives"], cells, strict=True):
        table.add_row(row["name"], *(texts[place] for place in shown))
    console.print(table)
    for line in meaning(told):
        console.print(line, highlight=False)
    if command:
        console.print(f"next: {command}", highlight=False, soft_wrap=True)


def _cells(row: Mapping[str, Any], *, primary: bool) -> list[str]:
    """An objective's cells, one per heading; empty where unknown."""
    asked = "primary" if primary else digits(row["asked"]) + ("*" if row["proposed"] else "")
    return [
        asked,
        span(row["attainable_low"], row["attainable_high"], 2),
        digits(row["together"]),
        digits(row["planned"]),
        digits(row["bound"]),
        "" if row["price"] is None else f"{row['price']:.3f}",
        "" if row["effective"] is None else f"{row['effective']:.0f}",
        digits(row["bound_at_twice"]),
    ]


def meaning(told: Mapping[str, Any]) -> list[str]:
    """What a plan's rows say, a sentence each, most important first."""
    primary = told["objectives"][0]["name"]
    if len(told["objectives"]) == 1:
        return [f"{primary} alone is maximised, from {told['comparisons']} comparisons."]
    lines = [
        f"range, with others: attainable alone, and while the others are held. +.01 costs: of {primary}. labels: as many "
        f"independent ones as {told['comparisons']} comparisons are worth. lower bound: {told['assurance'].split(';')[0]}; "
        "at 2x labels: about the bound with twice as many."
    ]
    for row in told["objectives"][1:]:
        if row["proposed"]:
            bend = "" if row["knee"] is None else f"; its knee lies at {row['knee']:.3f}"
            lines.append(
                f"* no threshold was given for {row['name']}: {row['asked']:.3f} is proposed{bend}. "
                f"Say another with --params={shlex.quote('plan.thresholds.' + row['name'] + '=...')}"
            )
    lines += [line for row in told["objectives"][1:] for line in _of_threshold(row, primary, told)]
    if (fewest := _fewest(told)) < MIN_PROMPTS:
        lines.append(
            f"{fewest} {told['drawn']} certify nothing, whatever is trained: {MIN_PROMPTS} are the fewest."
        )
    return lines


def _fewest(told: Mapping[str, Any]) -> float:
    """Test prompts that speak of the threshold of which fewest do; infinite where nothing was foreseen."""
    known = (row["prompts"] for row in told["objectives"][1:])
    return min((count for count in known if count is not None), default=math.inf)


def _of_threshold(row: Mapping[str, Any], primary: str, told: Mapping[str, Any]) -> list[str]:
    """What to know of one threshold: its price where it has one, and whether it can be certified."""
    name, price, lines = row["name"], row["price"], []
    if price is not None and price < 1e-6:
        lines.append(f"{name} holds without cost.")
    width, planned, asked = row["half_width"], row["planned"], row["asked"]
    able = _fewest(told) >= MIN_PROMPTS
    if able and width is not None and planned - asked < width and np.isfinite(width):
        short = row["margin"] + width - (planned - asked)
        margin = math.ceil(round(short * 1000, 6)) / 1000
        lines.append(
            f"{name}: {row['prompts']} {told['drawn']} tell to ±{width:.3f} at a first look, the plan lies {planned - asked:.3f} "
            f"above its threshold. A certificate takes plan.margins.{name}={margin:.3f}, which train.loop adds by itself where it "
            f"can, or more {told['drawn']}."
        )
    if price is not None and price >= STEP:
        lines.append(f"{name} is dear: +.01 of it costs {price:.3f} of {primary}.")
    return lines
