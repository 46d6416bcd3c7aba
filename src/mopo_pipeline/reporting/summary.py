"""The result of a run in one dictionary, and the same numbers as a table in the terminal."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.certificate import UNDECIDABLE, Certificate, headline
from mopo_pipeline.pareto.verdicts import HELD, MISSED, UNDECIDED, qualified
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.verdict import joined, meaning, next_step, still_open
from mopo_pipeline.sampling_units import drawn_as

SAID = "certificate undecidable"
"""How a finding begins that the line of the certificate has told at the end of a run."""

COLOURS = {HELD: "green", MISSED: "red"}


def run_summary(
    checks: pd.DataFrame,
    plan: TrainingPlan,
    evaluation: dict[str, Any],
    exact: dict[str, Any],
    certificate: Certificate,
    *,
    environment: str | None,
    seed: int,
    seconds: float | None,
    found: Iterable[dict[str, Any]] = (),
    foreseen: Iterable[dict[str, Any]] = (),
    trained: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    """What a run leaves for machines; unknown values are None.

    Per objective ``achieved`` is the policy's value by the ``estimator`` that is believed, with its
    interval, the interval's ``level`` and the ``n`` prompts it rests on; ``verdict`` is one of the
    four of ``pareto.verdicts`` or undecided, ``held`` whether it is the first of them, ``doubt``
    what makes its judge doubtful, ``helps`` what a certificate of its threshold would take. ``certificate`` is what the certificate says jointly, ``certified`` whether
    it is one, None where no objective has a threshold. ``findings`` are all there are in the order of the run: those ``found`` before the plan, the plan's, what was
    ``foreseen`` of the certificate unless it came out as held, those of the ``trained`` policy and of its evaluation;
    ``errors`` are those of them that make the result worthless, each in a sentence.
    """
    estimator = evaluation["estimator"]
    shares = (evaluation.get("exact_well_formed") or {}, evaluation.get("well_formed") or {})
    well_formed = next((s["policy"] for s in shares if s.get("policy") is not None), None)
    findings = [
        *found,
        *(finding.as_dict() for finding in plan.findings),
        *still_open(foreseen, certificate),
        *trained,
        *evaluation["findings"],
    ]
    rows: dict[str, Any] = {row["objective"]: row for _, row in checks.iterrows()}
    optimum = (exact.get("optimum") or {}).get("values", {})
    helps = {entry.objective: list(entry.helps) for entry in certificate.thresholds}
    return {
        "environment": environment,
        "seed": seed,
        "seconds": number(seconds),
        "well_formed": number(well_formed),
        "estimator": estimator,
        "certified": certificate.certified if certificate.thresholds else None,
        "certificate": headline(certificate),
        "drawn": drawn_as(certificate.prompts, certificate.units),
        "helps": list(dict.fromkeys(text for e in certificate.thresholds for text in e.helps)),
        "errors": [
            f"{finding['name']}: {_value(finding)}; {finding['remedy']}"
            for finding in findings
            if finding["severity"] == "error"
        ],
        "findings": findings,
        "objectives": [
            _objective(rows[name], name, estimator, plan)
            | {"exact_optimum": number(optimum.get(name)), "helps": helps.get(name, [])}
            for name in plan.objectives
        ],
    }


def _objective(
    row: pd.Series, name: str, estimator: str | None, plan: TrainingPlan
) -> dict[str, Any]:
    known = {} if estimator is None else row.filter(like=f"{estimator}_").to_dict()
    low, high = plan.attainable[name]
    verdict = known.get(f"{estimator}_verdict") or None
    undecided = verdict is None or verdict.startswith(UNDECIDED)
    n = number(known.get(f"{estimator}_n"))
    return {
        "name": name,
        "role": row["role"],
        "threshold": number(plan.thresholds.get(name)),
        "planned": number(plan.values[name]),
        "margin": None
        if name not in plan.constrained
        else number(_known(plan.targets[name]) - _known(plan.thresholds[name])),
        "attainable_low": number(low),
        "attainable_high": number(high),
        "achieved": number(known.get(f"{estimator}_value")),
        "ci_low": number(known.get(f"{estimator}_ci_low")),
        "ci_high": number(known.get(f"{estimator}_ci_high")),
        "level": number(known.get(f"{estimator}_level")),
        "n": None if n is None else int(n),
        "verdict": verdict,
        "held": None if undecided else verdict == HELD,
        "doubt": known.get(f"{estimator}_doubt") or None,
    }


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _value(finding: dict[str, Any]) -> str:
    value, limit = (
        "unknown" if number(finding[key]) is None else f"{finding[key]:.4g}"
        for key in ("value", "limit")
    )
    return f"{value} (limit {limit})"


def number(value: Any) -> float | None:
    """A plain float, or None for what is unknown.

    >>> number(float("nan")), number(None), number(1)
    (None, None, 1.0)
    """
    if value is None or value is pd.NA or not math.isfinite(float(value)):
        return None
    return float(value)


def said(objective: dict[str, Any]) -> str:
    """An objective's verdict with what makes its judge doubtful; empty for the primary."""
    return qualified(objective["verdict"] or "", objective["doubt"] or "")


def level(summary: dict[str, Any]) -> str:
    """The heading of the intervals: their level and what they are."""
    known = summary["objectives"][0]["level"]
    return "interval" if known is None else f"{known:.0%} interval"


def closing_table(summary: dict[str, Any], report: str | None, command: str | None = None) -> None:
    """Print the table at the end of a run, what it means, and how to go on; fits 80 columns.

    Args:
        summary: of the run.
        report: where the page lies.
        command: that the run was started with, without what it selected.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(
        box=box.SIMPLE_HEAD,
        title="Win rates against the data's own answers (data: 0.5)",
        title_justify="left",
        pad_edge=False,
        padding=0,
    )
    table.add_column("objective", no_wrap=True)
    for heading in ("threshold", "attainable", "achieved", level(summary).replace(" ", "\n")):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("verdict", min_width=12)
    exact = any(row["exact_optimum"] is not None for row in summary["objectives"])
    if exact:
        table.add_column("exact\noptimum", justify="right", no_wrap=True)
    for row in summary["objectives"]:
        colour = COLOURS.get(said(row), "yellow")
        table.add_row(
            row["name"],
            "primary" if row["role"] == "primary" else digits(row["threshold"]),
            span(row["attainable_low"], row["attainable_high"], 2),
            digits(row["achieved"]),
            span(row["ci_low"], row["ci_high"]),
            "" if row["n"] is None else str(row["n"]),
            f"[{colour}]{said(row)}[/{colour}]" if said(row) else "",
            *([digits(row["exact_optimum"])] if exact else []),
        )
    console.print(table)
    facts = [f"n: {summary['drawn']}"]
    if summary["well_formed"] is not None:
        facts.append(f"{summary['well_formed']:.1%} of answers well formed")
    if summary["seconds"] is not None:
        facts.append(f"{summary['seconds']:.0f} s")
    console.print(", ".join(facts), highlight=False)
    colour = {True: "green", False: "yellow"}.get(summary["certified"], "default")
    console.print(f"[{colour}]{escape(summary['certificate'])}[/{colour}]", highlight=False)
    for error in summary["errors"]:
        if summary["certificate"].startswith(UNDECIDABLE) and error.startswith(SAID):
            continue
        console.print(f"[red]error[/red]: {escape(error)}", highlight=False)
    for line in meaning(summary):
        console.print(escape(line), highlight=False)
    if report is not None:
        console.print(f"report: {report}", highlight=False, soft_wrap=True)
    if command is not None and (step := next_step(summary)):
        console.print(f"next: {joined(command, step)}", highlight=False, soft_wrap=True)


def digits(value: float | None) -> str:
    """Three digits, empty where unknown; a zero has no sign.

    >>> digits(0.5), digits(-0.0002), digits(None)
    ('0.500', '0.000', '')
    """
    return "" if value is None else f"{value:z.3f}"


def span(low: float | None, high: float | None, places: int = 3) -> str:
    """Two ends, empty where unknown."""
    return "" if low is None or high is None else f"{low:.{places}f}–{high:.{places}f}"
