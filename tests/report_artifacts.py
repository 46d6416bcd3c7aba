"""What a report is made of, by hand, for any number of objectives."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts, judge
from mopo_pipeline.parameters.report import ReportParams, RunFacts
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.figures import draw_figures
from mopo_pipeline.reporting.page import render_page
from mopo_pipeline.reporting.picture import Picture
from mopo_pipeline.reporting.samples import sample_groups
from mopo_pipeline.reporting.summary import run_summary
from mopo_pipeline.reporting.tables import pareto_report

QUALITY = {
    "labelled": 9, "missing": 1, "tie_share": 0.1, "position_bias": None,
    "repeated_votes": {"pairs": 12, "agreement": 0.7, "alpha": 0.31},
}  # fmt: skip
BASELINES = {"baselines": {"verdict": "says more than its baselines"}, "ece": 0.013}
BINS = [{"predicted": p, "observed": p, "count": 40} for p in (0.05, 0.5, 0.95)]
FRONT = [[0.4, 0.66], [0.5, 0.6], [0.65, 0.4]]
RUN = RunFacts(
    started="2026-11-26T01:54:34+00:00",
    command="kedro run --env=mine",
    changed={"plan.tau": 0.2, "task.seed": 3},
    model="scratch",
    device="CPU, 2 cores",
    commit="715854c",
    stage_seconds={"plan": 3.2, "train": 197.4},
)
LOG = pd.DataFrame(
    {
        "step": [20, 40, 60, 80],
        "weighted_nll": [5.0, 0.4, 0.2, 0.15],
        "kl_to_reference": [0.1, 0.2, 0.3, 0.35],
        "ess": 0.6,
    }
)
"""Of a training whose effective share never moves."""


def plan_of(names: list[str]) -> TrainingPlan:
    """A plan of these objectives, every threshold at 0.5."""
    held = names[1:]
    return replace(
        PLAN,
        objectives=tuple(names),
        thresholds=dict.fromkeys(held, 0.5),
        targets=dict.fromkeys(held, 0.5),
        attainable=dict.fromkeys(names, (0.2, 0.8)),
        multipliers=dict.fromkeys(held, 0.3),
        chi=dict.fromkeys(held, 0.8),
        values=dict.fromkeys(names, 0.55),
        row_values=dict.fromkeys(names, 0.55),
        bounds=dict.fromkeys(held, 0.5),
        status=dict.fromkeys(held, "active"),
        epsilon=dict.fromkeys(held, 0.01),
        effective_comparisons=dict.fromkeys(held, 300.0),
    )


def costs_of(plan: TrainingPlan, free: float = 0.66) -> list[dict[str, Any]]:
    """Rows of a plan's table; ``free`` without thresholds."""
    first, *held = plan.objectives
    missing = dict.fromkeys(("asked", "together", "price"))
    primary = {"name": first, "free": free, "planned": 0.6, "proposed": False, "front": []}
    rows: list[dict[str, Any]] = [
        {"name": name, "free": 0.4, "planned": 0.52, "asked": 0.5, "together": 0.65, "price": 0.003,
         "proposed": False, "front": FRONT}
        for name in held
    ]  # fmt: skip
    return [primary | missing, *rows]


def values_of(names: list[str], half: float = 0.01) -> pd.DataFrame:
    """Values of both models by two estimators; the policy stands at 0.52 on everything."""
    rows = [
        {"policy": policy, "objective": name, "estimator": estimator, "value": value, "se": half / 2,
         "ci_low": value - half, "ci_high": value + half, "n": 40.0, "level": 0.95, "effective": np.nan,
         "freedom": 39.0}
        for estimator in ("preference_model", "doubly_robust")
        for policy, value in (("reference", 0.5), ("policy", 0.52))
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows)


def log_of(names: list[str], moving: bool = False) -> pd.DataFrame:
    """A training log with looks; the multipliers move where told."""
    log = LOG.copy()
    for name in names:
        log[f"validation_{name}"] = [np.nan, 0.5, np.nan, 0.55]
        log[f"validation_{name}_se"] = [np.nan, 0.01, np.nan, 0.01]
        log[f"required_{name}"] = [np.nan, 0.52, np.nan, 0.53]
        log[f"raised_{name}"] = [0.0, 0.0, 0.02, 0.02]
        log[f"threshold_{name}"] = 0.5
        log[f"multiplier_{name}"] = [0.3, 0.3, 0.4, 0.5] if moving else 0.3
    return log


def agreement_of(names: list[str]) -> pd.DataFrame:
    """Objectives that lean against each other."""
    matrix = np.full((len(names), len(names)), -0.2) + 1.2 * np.eye(len(names))
    return pd.DataFrame(matrix, columns=names).assign(objective=names)


def figures_of(
    names: list[str], values: pd.DataFrame | None = None, moving: bool = False
) -> dict[str, Picture]:
    """Every picture of a run on these objectives."""
    plan = plan_of(names)
    metrics = {"objectives": {name: BASELINES | {"bins": BINS, "accuracy": 0.7} for name in names}}
    return draw_figures(
        values_of(names) if values is None else values,
        plan,
        {"optimum": None},
        log_of(names, moving),
        LOG[["step", "weighted_nll"]],
        metrics,
        agreement_of(names),
        facts(),
        {"objectives": costs_of(plan)},
    )


def answers_of(prompts: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two answers of each model to each prompt, and their win rates: later prompts fare worse, one answer is long."""
    rows = [
        {"prompt_id": f"p{i}", "completion_id": f"{policy}-{i}-{j}", "policy": policy,
         "prompt": f'[{{"role": "user", "content": "Question {i} & more?"}}]',
         "completion": f"Answer {j} of the {policy} to {i}.", "ended": (i, j) != (1, 1), "n_tokens": 10 * j + i}
        for policy in ("reference", "policy")
        for i in range(prompts)
        for j in range(2)
    ]  # fmt: skip
    completions = pd.DataFrame(rows)
    scores = completions[["completion_id"]].assign(judge="preference_model")
    for place, name in enumerate(NAMES):
        level = 0.9 - 0.1 * place - 0.2 * completions["prompt_id"].str[1:].astype(int)
        scores[f"{name}_win_rate"] = level.to_numpy()
    return completions, scores


SIDE = {"value": 7.25, "low": 7.0, "high": 7.5}
CAPABILITY = [
    {"measure": "length", "unit": "tokens per answer", "reference": SIDE, "policy": SIDE}
    | {"change": {"value": 0.125, "low": 0.1, "high": 0.15}}
]


def whole_page(
    values: pd.DataFrame | None = None,
    judges: dict[str, Any] | None = None,
    *,
    figures: dict[str, Picture],
    run: RunFacts | None = RUN,
    preferences: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    ingest: dict[str, Any] | None = None,
    findings: tuple[dict[str, Any], ...] = (),
    prompts: int | None = None,
    units: int | None = None,
    command: str | None = None,
    plan: TrainingPlan = PLAN,
    free: float = 0.66,
    grammar: bool = False,
    **changes: Any,
) -> str:
    """A page as HTML, on the objectives of ``evaluated`` or the first of them.

    ``prompts`` where the test split has few, in ``units`` that were drawn as one, ``command`` of the run, ``free`` is what the primary would be without thresholds, ``grammar``
    whether answers must have a form.
    """
    names = plan.objectives
    known = {"preference_model": judge()} if judges is None else judges
    given = estimate("preference_model", [0.6, 0.52, 0.455]) if values is None else values
    checks, evaluation = checked(given, judges=known, plan=plan), facts(judges=known, **changes)
    exact: dict[str, Any] = {"optimum": None}
    issued = (
        certificate(checks, plan)
        if prompts is None
        else certificate(checks, plan, prompts=prompts, units=units or prompts)
    )
    told = run_summary(
        checks, plan, evaluation, exact, issued, environment="mine", seed=3, seconds=None,
        trained=findings,
    )  # fmt: skip
    return render_page(
        params=ReportParams(title="A run", run=run, command=command),
        summary=told,
        certificate=issued,
        plan=plan,
        costs=costs_of(plan, free),
        evaluation=evaluation,
        checks=checks,
        pareto=pareto_report(given, plan, exact, evaluation["estimator"], 0.0),
        ingest={"source": "files", "prompts": {"train": 40}} if ingest is None else ingest,
        preferences=preferences or {"objectives": dict.fromkeys(names, QUALITY)},
        model=model or {"objectives": dict.fromkeys(names, BASELINES)},
        capability=CAPABILITY,
        samples=sample_groups(*answers_of(), names, 2, grammar),
        figures=figures,
    )
