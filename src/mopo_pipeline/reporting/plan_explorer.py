"""The plan as a page to try before any training: thresholds by sliders, solved again in the browser.

The page solves the plan's own problem: the same rows, labels, estimates and bounds, in plain JavaScript, on all
training prompts where they are few and else on evenly spaced ones.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.confidence import quantile
from mopo_pipeline.mopo.estimator import PolicyEstimator, build_estimator
from mopo_pipeline.mopo.rows import alike, build_rows
from mopo_pipeline.mopo.terms import Terms
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.report import ReportParams
from mopo_pipeline.plan.make import proposed
from mopo_pipeline.plan.posed import assurance, pooling_of, pose
from mopo_pipeline.plan.problem import row_comparisons
from mopo_pipeline.plan.thresholds import margins_above, resolve_thresholds
from mopo_pipeline.reporting.interactive.page import render_interactive
from mopo_pipeline.reporting.verdict import joined
from mopo_pipeline.tables import prompt_text

ROWS, COMPARISONS = 12_000, 12_000
"""Most training answers and labelled pairs that a page solves with; from more, whole prompts are drawn."""

PROMPTS, ANSWERS, LONGEST = 40, 12, 600
"""Prompts whose answers are shown, most answers of each, characters of each."""


QUANTILES = 512
"""Of Student's t, at degrees of freedom whose inverses lie evenly between 0 and 1: what the browser takes between them is off by 1e-5."""


@dataclass(frozen=True)
class Problem:
    """A plan's problem on some rows.

    Attributes:
        rows: win rates of the rows.
        estimator: of the policies on these rows.
        pooling: kappa of the weights; None where the rows choose it.
    """

    rows: pd.DataFrame
    estimator: PolicyEstimator
    pooling: float | None


def write_plan_explorer(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
    report: ReportParams,
) -> str:
    """The page: sliders for the thresholds, and what the plan would give.

    Args:
        responses: texts of the answers.
        win_rates: one row per response, a column in [0, 1] per objective.
        comparisons: labelled pairs.
        predictions: the preference model's probabilities, row for row with ``comparisons``.
        task: the objectives with the thresholds where the sliders start.
        params: temperature, confidence, normaliser, margins.
        report: the command of the run, which the page's own repeats.

    Raises:
        InputError: the training split is empty; labels of too few prompts to be sure of anything.
    """
    data = explorer_data(responses, win_rates, comparisons, predictions, task, params)
    return render_interactive(
        "plan_explorer.html.j2",
        data | {"command": plan_command(report.command or "kedro run", task.names[1:])},
        ("common.js", "estimator.js", "multipliers.js", "plan_explorer.js"),
    )


def explorer_data(
    responses: pd.DataFrame,
    win_rates: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> dict[str, Any]:
    """What the page's scripts read."""
    names = list(task.names)
    plan = pose(win_rates, comparisons, predictions, task, params)
    rows, pairs, attainable = plan.rows, plan.comparisons, plan.attainable
    given = resolve_thresholds(task.objectives, params.thresholds, attainable)
    whole = posed(rows, comparisons, predictions, task, params)
    drawn = drawn_prompts(rows, pairs)
    part = (
        whole if len(drawn) == len(rows) else posed(drawn, comparisons, predictions, task, params)
    )
    return {
        "title": "Plan explorer",
        "problem": packed(part, whole, names),
        "attainable": [[float(end) for end in ends] for ends in attainable],
        "thresholds": proposed(plan, given).tolist(),
        "margins": margins_above(names, params.margins).tolist(),
        "confidence": plan.given["confidence"],
        "barrier": params.variant == "log_barrier",
        "prompts": {
            "all": int(rows["prompt_id"].nunique()),
            "solved": int(drawn["prompt_id"].nunique()),
        },
        "comparisons": pairs,
        "answers": shown_answers(part, responses),
    }


def plan_command(command: str, constrained: tuple[str, ...]) -> str:
    """A command that plans with other thresholds, ``@0@`` and so on in their places.

    >>> plan_command("kedro run --env=mine --params=data_root=x", ("harm",))
    'kedro run --env=mine --pipelines=plan --params=data_root=x,plan.thresholds.harm=@0@'
    """
    asked = ",".join(f"plan.thresholds.{name}=@{k}@" for k, name in enumerate(constrained))
    return joined(command, ("--pipelines=plan", *([f"--params={asked}"] if asked else [])))


def posed(
    rows: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    task: TaskParams,
    params: PlanParams,
) -> Problem:
    """The plan's problem on some rows of the training split."""
    names = list(task.names)
    groups = pd.factorize(rows["prompt_id"])[0]
    built = build_rows(rows[names].to_numpy(dtype=np.float64), alike(groups), groups)
    given, _ = assurance(row_comparisons(rows, comparisons, predictions, task.names), params)
    pooling = pooling_of(params)
    estimator = build_estimator(
        built,
        params.tau,
        pooling != 0 and len(built.starts) > 1,
        comparisons=given["comparisons"],
        epsilon=np.full(len(names) - 1, given["epsilon"]),
        confidence=given["confidence"],
    )
    ordered = rows if built.order is None else rows.iloc[built.order].reset_index(drop=True)
    return Problem(ordered, estimator, pooling)


def drawn_prompts(rows: pd.DataFrame, pairs: int) -> pd.DataFrame:
    """Rows of evenly spaced prompts, so many that a page can solve with them."""
    share = min(1.0, ROWS / len(rows), COMPARISONS / max(pairs, 1))
    if share == 1.0:
        return rows
    prompts = rows["prompt_id"].unique()
    kept = np.unique(
        np.linspace(0, len(prompts) - 1, max(2, int(share * len(prompts)))).astype(int)
    )
    return rows.loc[rows["prompt_id"].isin(prompts[kept])].reset_index(drop=True)


def packed(part: Problem, whole: Problem, names: list[str]) -> dict[str, Any]:
    """The problem of ``part`` as text, with bounds as wide as ``whole`` makes them."""
    estimator = part.estimator
    terms: list[Terms | None] = [None] * len(names)
    drawn = np.arange(len(estimator.rows.starts))
    if estimator.compared is not None:
        terms = list(estimator.compared.terms)
        drawn = estimator.compared.clusters[:-1]
    pooling = part.pooling
    return {
        "names": names,
        "tau": estimator.tau,
        "sampled": estimator.sampled,
        "pooling": "infinite" if pooling == np.inf else pooling,
        "rows": len(part.rows),
        "counts": _text(estimator.rows.counts.astype(np.int32)),
        "drawn": _text(drawn.astype(np.int32)),
        "base": [_text(column.astype(np.float32)) for column in estimator.rows.columns],
        "folds": [
            [_text(column.astype(np.float32)) for column in fold.columns]
            for fold in estimator.folds
        ],
        "terms": [
            None
            if term is None
            else _packed_terms(term, len(part.rows)) | _radius(whole.estimator, k, term)
            for k, term in enumerate(terms)
        ],
    }


def _packed_terms(term: Terms, rows: int) -> dict[str, Any]:
    index = np.uint16 if rows <= 1 << 16 else np.int32
    part = term.part()
    left, right, beside_value = term.coefficients(part)
    return {
        "first": _text(np.maximum(part.first, 0).astype(index)),
        "second": _text(np.maximum(part.second, 0).astype(index)),
        "left": _text(left.astype(np.float32)),
        "right": _text(right.astype(np.float32)),
        "mass": _text(part.mass.astype(np.float32)),
        "beside": _text(beside_value.astype(np.uint8)),
        "fold": _text(part.fold.astype(np.uint8)),
    }


def _radius(whole: PolicyEstimator, k: int, term: Terms) -> dict[str, Any]:
    """Of an objective's bound: fixed, or what the page's own terms make of it, by annotators too where they are told apart."""
    if k == 0 or whole.level is None:
        return {"radius": {"fixed": float(whole.epsilon[k - 1]) if k else 0.0}}
    assert whole.compared is not None
    full = whole.compared.terms[k]
    assert full is not None
    share = term.count / full.count
    if not full.annotated:
        return {"radius": {"scale": quantile(whole.level, full.freedom) ** 2 / 2.0 * share}}
    freedoms = [np.inf, *(QUANTILES / np.arange(1, QUANTILES + 1))]
    return {
        "annotator": _text(term.part().annotator.astype(np.int32)),
        "radius": {
            "share": share,
            "freedom": None if np.isinf(full.freedom) else float(full.freedom),
            "quantiles": [quantile(whole.level, freedom) for freedom in freedoms],
        },
    }


def shown_answers(problem: Problem, responses: pd.DataFrame) -> list[dict[str, Any]]:
    """Evenly spaced prompts with evenly spaced answers, each with its row."""
    rows = problem.estimator.rows
    texts = responses.set_index("response_id")[["prompt", "response"]].astype(str)
    prompt_of, text_of = texts["prompt"].to_dict(), texts["response"].to_dict()
    shown = []
    for g in _spaced(len(rows.starts), PROMPTS):
        places = int(rows.starts[g]) + _spaced(int(rows.counts[g]), ANSWERS)
        ids = problem.rows["response_id"].iloc[places]
        shown.append(
            {
                "prompt": _cut(prompt_text(prompt_of[ids.iloc[0]])),
                "rows": places.tolist(),
                "texts": [_cut(text_of[name]) for name in ids],
            }
        )
    return shown


def _spaced(size: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most ``most`` evenly spaced places (m,) of ``size``."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


def _text(array: Array | np.ndarray[Any, Any]) -> dict[str, str]:
    """An array (n,) as the browser reads it: its kind, and its little-endian bytes in base64."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"kind": array.dtype.name, "data": b64encode(little.tobytes()).decode("ascii")}
