"""The fronts at the end of a run: a line per method, what is certain, and what is to be told."""

from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.reporting.summary import digits, span
from mopo_pipeline.reporting.values import ESTIMATORS

COLOURS = {"win": "green", "loss": "red", "tie": "yellow"}


def front_table(front_report: dict[str, Any]) -> None:
    """Print the methods by hypervolume, ours against each, and the findings; fits 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, methods = Console(), front_report["methods"]
    if len(front_report["objectives"]) > 1:
        corner = front_report["hypervolume_reference"][0]
        table = Table(
            box=box.SIMPLE_HEAD,
            title=f"Fronts, hypervolume above {corner:g}",
            title_justify="left",
            pad_edge=False,
            padding=0,
        )
        table.add_column("method", no_wrap=True)
        headings = ("points", "hyper-\nvolume", f"{front_report['level']:.0%}\ninterval",
                    "of the\nexact", "at the\nsame KL", "missed", "P(ours\nabove)")  # fmt: skip
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("ours", no_wrap=True)
        for name in sorted(methods, key=lambda m: -methods[m]["hypervolume"]):
            table.add_row(*_row(name, methods[name], front_report))
        for name, left in front_report.get("without_points", {}).items():
            table.add_row(name, "\n".join(f"{n} {status}" for status, n in left.items() if n))
        console.print(table)
        by = " or ".join(ESTIMATORS[estimator] for estimator in front_report["estimators"])
        console.print(f"values: {by}", highlight=False)
        console.print(", ".join(_facts(front_report)), highlight=False)
    for found in front_report["findings"]:
        colour = {"error": "red", "info": "cyan"}.get(found["severity"], "yellow")
        console.print(
            f"[{colour}]{escape(found['name'])}[/{colour}]: {escape(found['remedy'])}",
            highlight=False,
        )


def _row(name: str, method: dict[str, Any], report: dict[str, Any]) -> list[str]:
    said = report["standing"].get(name, "")
    matched = report["matched_kl"].get("hypervolumes", {}).get(name, {})
    beats = report["dominance"].get("mopo", {}).get(name)
    colour = COLOURS.get(said, "")
    failed = f"\n{method['failed']} failed" if method["failed"] else ""
    return [
        name,
        f"{method['points']}{failed}",
        digits(method["hypervolume"]),
        span(method["hypervolume_low"], method["hypervolume_high"]),
        digits(method["share_of_exact"]),
        digits(matched.get("hypervolume")),
        "" if method["violation_rate"] is None else f"{method['violation_rate']:.0%}",
        "" if beats is None else f"{beats:.2f}",
        f"[{colour}]{said}[/{colour}]" if said else "",
    ]


def _facts(report: dict[str, Any]) -> list[str]:
    facts = [f"{len(report['seeds'])} seed{'s' if len(report['seeds']) > 1 else ''}"]
    if (budget := report["matched_kl"]["budget"]) is not None:
        near = report["matched_kl"].get("within_noise", 0)
        noise = f" ({near} point{'s' if near > 1 else ''} within noise of it)" if near else ""
        facts.append(f"same KL: {budget:.2f} nats{noise}")
        facts += [
            _farther(name, kl, report)
            for name, kl in report["matched_kl"].get("farther", {}).items()
        ]
    ours = report["methods"].get("mopo", {})
    if ours.get("certified_share") is not None:
        facts.append(f"certified: {ours['certified_share']:.0%} of ours")
    if not report["sensitivity"]["first_stays"]:
        facts.append("another reference point puts another method first")
    return facts


def _farther(name: str, nearest: float, report: dict[str, Any]) -> str:
    """That a method has no point at the same KL, and how ours stands to it where both have been."""
    pair = report["matched_kl"].get("pairs", {}).get(name, {})
    said = f"{name} has no point so near (from {nearest:.2f}"
    if pair.get("probability") is not None:
        said += f"; up to {pair['budget']:.2f} P(ours above) is {pair['probability']:.2f}"
    return f"{said})"


def variants_table(ablation_points: pd.DataFrame, task: TaskParams) -> None:
    """Print every variant of every sweep with its values; a run that failed with its reason."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mopo_pipeline.reporting.ablation import short

    table = Table(
        box=box.SIMPLE_HEAD,
        title="Ablations",
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("sweep", no_wrap=True)
    table.add_column("setting", overflow="fold")
    for name in (*task.names, "KL"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in ablation_points.iterrows():
        done = row["status"] == "done"
        numbers = [f"{row[f'value_{n}']:.3f}" if done else "" for n in task.names]
        setting = short(row["point"])
        said = setting if done else f"{setting}: {row['status']}, {row['reason']}"
        table.add_row(
            escape(row["method"]), escape(said), *numbers, f"{row['kl']:.2f}" if done else ""
        )
    Console().print(table)
