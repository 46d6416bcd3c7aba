"""One self-contained HTML page that opens from disk."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.parameters.report import ReportParams
from mopo_pipeline.pareto.verdicts import HELD, capitalised, qualified
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.preferences.baselines import TOO_WEAK
from mopo_pipeline.reporting.capability import certain
from mopo_pipeline.reporting.picture import Picture, themed
from mopo_pipeline.reporting.summary import level, said, span
from mopo_pipeline.reporting.templates import environment
from mopo_pipeline.reporting.values import ESTIMATORS
from mopo_pipeline.reporting.verdict import joined
from mopo_pipeline.tables import source_name

PACKAGES = ("mopo_pipeline", "kedro", "torch", "transformers", "numpy", "scipy", "moocore")
SEVERITY = {"error": 0, "warning": 1, "info": 2}


def render_page(
    *,
    params: ReportParams,
    summary: dict[str, Any],
    certificate: Certificate,
    plan: TrainingPlan,
    costs: list[dict[str, Any]],
    evaluation: dict[str, Any],
    checks: pd.DataFrame,
    pareto: pd.DataFrame,
    ingest: dict[str, Any],
    preferences: dict[str, Any],
    capability: list[dict[str, Any]],
    model: dict[str, Any],
    samples: list[dict[str, Any]],
    figures: Mapping[str, Picture],
) -> str:
    """Fill the template; pictures stand in the page, nothing is loaded from elsewhere.

    ``costs`` are the rows of the plan's table, ``model`` the metrics of the preference model.
    """
    estimators = {e: ESTIMATORS[e] for e in ESTIMATORS if f"{e}_value" in checks}
    judges, believed = evaluation["judges"].items(), evaluation["estimator"]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=page_title(params, summary, ingest),
            run=params.run,
            summary=summary,
            optimum=any(row["exact_optimum"] is not None for row in summary["objectives"]),
            certificate=certificate,
            headline=headline(summary),
            plan=plan,
            costs=costs,
            evaluation=evaluation,
            checks=check_rows(checks),
            estimators=estimators,
            trusted=[(name, quality) for name, quality in judges if name == believed],
            others=[pair for pair in judges if pair[0] in estimators and pair[0] != believed],
            pareto=pareto.to_dict(orient="records"),
            corner=params.hypervolume_reference,
            ingest=ingest,
            preferences=preferences,
            labels=label_rows(preferences, model, ingest),
            capability=capability,
            certain=certain,
            samples=samples,
            findings=sorted(summary["findings"], key=lambda finding: SEVERITY[finding["severity"]]),
            figures={name: shapes(picture) for name, picture in figures.items()},
            said=said,
            qualified=qualified,
            level=level(summary),
            span=span,
            versions=versions(),
            explore=joined(params.command or "kedro run", ("--pipelines=explore",)),
        )
    )


def shapes(picture: Picture) -> dict[str, str]:
    """A picture for a screen and, where it was drawn, for a telephone, in the colours of the page."""
    drawn = {"wide": picture.svg, "narrow": picture.narrow}
    return {shape: themed(svg) for shape, svg in drawn.items() if svg}


def page_title(params: ReportParams, summary: Mapping[str, Any], ingest: Mapping[str, Any]) -> str:
    """A heading that tells two pages apart: what was run, on what, when."""
    parts = [params.title, source_name(str(ingest.get("source", "")))]
    parts += [f"{summary['environment'] or ''}", f"seed {summary['seed']}"]
    if params.run is not None:
        parts.append(params.run.started[:16].replace("T", " "))
    return " · ".join(part for part in parts if part)


def label_rows(
    preferences: Mapping[str, Any], model: Mapping[str, Any], ingest: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Per objective what is known of its labels, how far people agree, and what the preference model is worth on them."""
    rated = ingest.get("annotator_agreement") or {}
    rows = {}
    for name, told in preferences["objectives"].items():
        held = (model.get("objectives") or {}).get(name, {}).get("baselines") or {}
        voted, rating = told.get("repeated_votes") or {}, rated.get(name) or {}
        alpha, on = voted.get("alpha"), f"{voted.get('pairs', 0):,} pairs"
        if alpha is None:
            alpha, on = rating.get("alpha"), f"{rating.get('units', 0):,.0f} answers"
        rows[name] = dict(told) | {
            "verdict": held.get("verdict"),
            "too_weak": held.get("verdict") == TOO_WEAK,
            "alpha": alpha,
            "alpha_on": on,
        }
    return rows


def headline(summary: dict[str, Any]) -> str:
    """One sentence that says what came out."""
    primary, *constrained = summary["objectives"]
    reached = primary["achieved"]
    if reached is None:
        return (
            "Nothing could judge the policy: no exact values, no judge, and no test labels of which "
            "enough count."
        )
    text = f"{capitalised(primary['name'])} reached a win rate of {reached:.3f}"
    if primary["doubt"]:
        text += f" ({primary['doubt']})"
    if primary["exact_optimum"] is not None:
        under = " under the thresholds" if constrained else ""
        text += f" (the exact optimum{under} is {primary['exact_optimum']:.3f})"
    if not constrained:
        return text + "; there was no threshold to hold."
    if all(said(o) == HELD for o in constrained):
        each = "the threshold" if len(constrained) == 1 else "every threshold"
        return f"{text}; {each} was held."
    return f"{text}; " + "; ".join(f"{o['name']} {said(o)}" for o in constrained) + "."


def check_rows(checks: pd.DataFrame) -> list[dict[str, Any]]:
    """Threshold checks as plain dictionaries, unknown values None."""
    plain = checks.astype(object).where(checks.notna(), None)
    return [{str(k): v for k, v in row.items()} for row in plain.to_dict(orient="records")]


def versions() -> dict[str, str]:
    """Installed versions of what decides a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
