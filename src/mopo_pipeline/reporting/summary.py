"""The result of a run in one dictionary, and the same numbers as a table in the terminal."""

import math
from typing import Any

import pandas as pd

VERDICTS = {True: "held", False: "missed", None: ""}


def run_summary(
    checks: pd.DataFrame,
    plan: dict[str, Any],
    evaluation: dict[str, Any],
    exact: dict[str, Any],
    *,
    environment: str | None,
    seed: int,
    seconds: float | None,
) -> dict[str, Any]:
    """What a run leaves for machines; unknown values are None.

    ``achieved`` is the policy's value by the most trusted estimator there is (exact, rules, reward
    models, preference model, doubly robust), ``held`` whether it reaches the threshold.
    """
    estimator = evaluation["estimator"]
    shares = (evaluation.get("exact_well_formed") or {}, evaluation.get("well_formed") or {})
    well_formed = next((s["policy"] for s in shares if s.get("policy") is not None), None)
    rows = checks.set_index("objective")
    optimum = (exact.get("optimum") or {}).get("values", {})
    objectives = []
    for index, name in enumerate(plan["objectives"]):
        row = rows.loc[name]
        low, high = plan["attainable"][name]
        achieved, ci_low, ci_high, held = (
            None if estimator is None else row[f"{estimator}_{column}"]
            for column in ("value", "ci_low", "ci_high", "held")
        )
        objectives.append(
            {
                "name": name,
                "role": "constrained" if index else "primary",
                "threshold": number(plan["thresholds"].get(name)),
                "attainable_low": number(low),
                "attainable_high": number(high),
                "achieved": number(achieved),
                "ci_low": number(ci_low),
                "ci_high": number(ci_high),
                "held": None if index == 0 or held is None or pd.isna(held) else bool(held),
                "exact_optimum": number(optimum.get(name)),
            }
        )
    return {
        "environment": environment,
        "seed": seed,
        "seconds": number(seconds),
        "well_formed": number(well_formed),
        "objectives": objectives,
    }


def number(value: Any) -> float | None:
    """A plain float, or None for what is unknown.

    >>> number(float("nan")), number(None), number(1)
    (None, None, 1.0)
    """
    if value is None or value is pd.NA or not math.isfinite(float(value)):
        return None
    return float(value)


def verdict(objective: dict[str, Any]) -> str:
    """Held, missed, or missed by less than the interval's width."""
    text = VERDICTS[objective["held"]]
    if objective["held"] is False and objective["ci_high"] is not None:
        return "missed, within noise" if objective["ci_high"] >= objective["threshold"] else text
    return text


def closing_table(summary: dict[str, Any], report: str | None) -> None:
    """Print the table at the end of a run, and where the page lies; fits 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, title="Win rates against the data's own answers (data: 0.5)",
                  title_justify="left", pad_edge=False, collapse_padding=True)  # fmt: skip
    table.add_column("objective", no_wrap=True)
    for heading in ("threshold", "attainable", "achieved", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("held", min_width=6)
    exact = any(row["exact_optimum"] is not None for row in summary["objectives"])
    if exact:
        table.add_column("exact\noptimum", justify="right", no_wrap=True)
    for row in summary["objectives"]:
        said = verdict(row)
        colour = {"held": "green", "missed": "red"}.get(said, "yellow")
        table.add_row(
            row["name"],
            "primary" if row["role"] == "primary" else digits(row["threshold"]),
            span(row["attainable_low"], row["attainable_high"], 2),
            digits(row["achieved"]),
            span(row["ci_low"], row["ci_high"]),
            f"[{colour}]{said}[/{colour}]" if said else "",
            *([digits(row["exact_optimum"])] if exact else []),
        )
    console.print(table)
    facts = []
    if summary["well_formed"] is not None:
        facts.append(f"{summary['well_formed']:.1%} of answers well formed")
    if summary["seconds"] is not None:
        facts.append(f"{summary['seconds']:.0f} s")
    if facts:
        console.print(", ".join(facts), highlight=False)
    if report is not None:
        console.print(f"report: {report}", highlight=False, soft_wrap=True)


def digits(value: float | None) -> str:
    """Three digits, empty where unknown."""
    return "" if value is None else f"{value:.3f}"


def span(low: float | None, high: float | None, places: int = 3) -> str:
    """Two ends, empty where unknown."""
    return "" if low is None or high is None else f"{low:.{places}f}–{high:.{places}f}"
