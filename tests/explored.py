"""Small tables that a plan is solved from, and the browser's solution of the page made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chromium import Page
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.plan import PlanParams
from mopo_pipeline.parameters.report import ReportParams
from mopo_pipeline.plan.make import make_plan
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.reporting.plan_explorer import explorer_data, write_plan_explorer
from mopo_pipeline.tables import chat_prompt, weight_columns

NAMES = ("help", "harm", "short")


@dataclass(frozen=True)
class Tables:
    """What the plan and its explorer read."""

    responses: pd.DataFrame
    win_rates: pd.DataFrame
    comparisons: pd.DataFrame
    predictions: pd.DataFrame

    def data(self, thresholds: Sequence[float | None], **params: Any) -> dict[str, Any]:
        return explorer_data(*self._all(), task(thresholds), PlanParams(tau=0.1, **params))

    def page(
        self, thresholds: Sequence[float | None], *, command: str | None = None, **params: Any
    ) -> str:
        given, told = PlanParams(tau=0.1, **params), ReportParams(command=command)
        return write_plan_explorer(*self._all(), task(thresholds), given, told)

    def plan(
        self, thresholds: Sequence[float | None], **params: Any
    ) -> tuple[TrainingPlan, pd.DataFrame]:
        given = self.win_rates, self.comparisons, self.predictions
        return make_plan(*given, task(thresholds), PlanParams(tau=0.1, **params))

    def _all(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        return self.responses, self.win_rates, self.comparisons, self.predictions


def task(thresholds: Sequence[float | None]) -> TaskParams:
    """Objectives of ``NAMES``, as many as there are thresholds and a primary."""
    held = zip(NAMES[1:], thresholds, strict=False)
    given = [{"name": NAMES[0]}, *({"name": n, "threshold": t} for n, t in held)]
    return TaskParams.model_validate({"objectives": given})


def tables(
    counts: list[int],
    *,
    pairs: int = 12,
    folds: int = 0,
    labelled: bool = True,
    objectives: int = 3,
    together: int = 1,
    annotators: int = 0,
) -> Tables:
    """Prompts with ``counts`` responses whose objectives conflict; ``pairs`` labels a prompt from their true win rates.

    ``together`` prompts after each other were drawn as one; so many ``annotators`` of different tastes labelled the pairs.
    """
    rng = np.random.default_rng(3)
    names = list(NAMES[:objectives])
    prompt = np.repeat(np.arange(len(counts)), counts)
    true = np.clip(0.5 + 0.18 * rng.standard_normal((len(prompt), objectives)), 0.02, 0.98)
    true[:, 1:] -= 0.5 * (true[:, :1] - 0.5)
    seen = np.clip(true + 0.03 * rng.standard_normal(true.shape), 0.0, 1.0)
    ids = [f"r{i}" for i in range(len(prompt))]
    rows = pd.DataFrame(
        {
            "prompt_id": [f"p{g}" for g in prompt],
            "response_id": ids,
            "split": "train",
            "unit": prompt // together,
        }
    )
    win_rates = rows.assign(**dict(zip(names, seen.T, strict=True)))
    for j in range(folds):
        moved = np.clip(seen + 0.02 * rng.standard_normal(seen.shape), 0.0, 1.0)
        win_rates = win_rates.assign(
            **{f"{n}_without_{j}": moved[:, k] for k, n in enumerate(names)}
        )
    responses = rows.assign(
        prompt=[chat_prompt(f"Question {g}?") for g in prompt],
        response=[f"Answer {i} & <so on>." for i in ids],
        source="files",
    )
    drawn = [(np.flatnonzero(prompt == g), n) for g, n in enumerate(counts) if n > 1]
    first, second = np.array(
        [rng.choice(places, 2, replace=False) for places, _ in drawn for _ in range(pairs)]
    ).T
    chance = np.clip(0.5 + (true[first] - true[second]), 0.02, 0.98)
    who = np.arange(len(first)) % max(annotators, 1)
    taste = 0.3 * np.random.default_rng(8).standard_normal((max(annotators, 1), objectives))
    liked = np.clip(chance + taste[who], 0.02, 0.98) if annotators else chance
    labels = (rng.random(chance.shape) < liked).astype(float)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    guess = np.clip(chance + 0.05 * rng.standard_normal(chance.shape), 0.02, 0.98)
    comparisons = pd.DataFrame(
        {
            "prompt_id": rows["prompt_id"].to_numpy()[first],
            "response_a": np.array(ids)[first],
            "response_b": np.array(ids)[second],
            "split": "train",
        }
    ).assign(**dict(zip(names, labels.T, strict=True)), **dict.fromkeys(weight_columns(names), 1.0))
    if annotators:
        comparisons["annotator"] = [f"a{one}" for one in who]
    predictions = pd.DataFrame(guess if labelled else np.full_like(guess, np.nan), columns=names)
    predictions["fold"] = rng.integers(0, folds, len(first)) if folds else -1
    return Tables(responses, win_rates, comparisons, predictions)


def opened(page: Page, folder: Path, html: str, **screen: Any) -> None:
    """The page of an explorer in the browser, everything computed."""
    file = folder / "explorer.html"
    file.write_text(html, encoding="utf-8")
    page.open(file, **screen)
    page.wait("state.turn > 0 && !state.busy")
