"""One self-contained HTML page that opens from disk."""

from base64 import b64encode
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.pareto.verdicts import HELD, qualified
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.capability import certain
from mopo_pipeline.reporting.summary import digits, level, said, span
from mopo_pipeline.reporting.values import ESTIMATORS

PACKAGES = ("mopo_pipeline", "kedro", "torch", "transformers", "numpy", "scipy", "moocore")
SEVERITY = {"error": 0, "warning": 1, "info": 2}


def render_page(
    *,
    title: str,
    summary: dict[str, Any],
    certificate: Certificate,
    plan: TrainingPlan,
    evaluation: dict[str, Any],
    checks: pd.DataFrame,
    pareto: pd.DataFrame,
    ingest: dict[str, Any],
    preferences: dict[str, Any],
    capability: list[dict[str, Any]],
    findings: list[dict[str, Any]],
    samples: list[dict[str, Any]],
    figures: dict[str, bytes],
) -> str:
    """Fill the template; figures (PNG) are embedded, nothing is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mopo_pipeline.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"digits": digits, "number": _number, "percent": _percent}
    return environment.get_template("page.html.j2").render(
        title=title,
        summary=summary,
        certificate=certificate,
        headline=headline(summary),
        plan=plan,
        evaluation=evaluation,
        checks=check_rows(checks),
        estimators={e: ESTIMATORS[e] for e in ESTIMATORS if f"{e}_value" in checks},
        pareto=pareto.to_dict(orient="records"),
        ingest=ingest,
        preferences=preferences,
        capability=capability,
        certain=certain,
        samples=samples,
        findings=sorted(findings, key=lambda finding: SEVERITY[finding["severity"]]),
        figures={name: b64encode(picture).decode() for name, picture in figures.items()},
        said=said,
        qualified=qualified,
        level=level(summary),
        span=span,
        versions=versions(),
    )


def headline(summary: dict[str, Any]) -> str:
    """One sentence that says what came out."""
    primary, *constrained = summary["objectives"]
    reached = primary["achieved"]
    if reached is None:
        return (
            "Nothing could judge the policy: no exact values, no judge, and no test labels of which "
            "enough count."
        )
    text = f"{primary['name'].capitalize()} reached a win rate of {reached:.3f}"
    if primary["doubt"]:
        text += f" ({primary['doubt']})"
    if primary["exact_optimum"] is not None:
        text += f" (the exact optimum under the thresholds is {primary['exact_optimum']:.3f})"
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


def _number(value: Any) -> str:
    """A number as a person writes it; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
