"""A small pocket task and a small reference, for trainings of a second."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.parameters.fit import FixedFit
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.tables import weight_columns

OBJECTIVES = pocket.OBJECTIVES


def small_tables(prompts: int = 12, missing: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers and labels; a quarter of the prompts are the test split."""
    rng = np.random.default_rng(0)
    responses, comparisons = pocket.generate(prompts, 6, 8, rng)
    ids = responses["prompt_id"].unique()
    split = dict(zip(ids, np.where(np.arange(len(ids)) % 4, "train", "test"), strict=True))
    responses["split"] = responses["prompt_id"].map(split)
    comparisons["split"] = comparisons["prompt_id"].map(split)
    if missing:
        comparisons.loc[comparisons.index % 5 == 0, OBJECTIVES[1]] = np.nan
    known = comparisons[list(OBJECTIVES)].notna().astype(float)
    return responses, comparisons.assign(
        **dict(zip(weight_columns(OBJECTIVES), known.to_numpy().T, strict=True))
    )


class WordCounts:
    """A judge that tells any two texts apart: long is helpful, short harmless, variety concise."""

    name, link, objectives = "words", "logistic", OBJECTIVES

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        words = [text.split() for text in responses]
        return np.array([[len(w), -len(w), len(set(w))] for w in words], dtype=float) / 4


def small_setting(root: Path, **changes: Any) -> Setting:
    """Eight steps of eight sequences from a reference of random weights."""
    responses, comparisons = small_tables()
    reference = root / "reference"
    if not reference.is_dir():
        prompts, answers = responses["prompt"].tolist(), responses["response"].tolist()
        tokenizer = build_tokenizer(prompts, answers)
        model = build_model(tokenizer, layers=1, width=32, heads=2, max_length=128, seed=0)
        model.save_pretrained(reference)
        tokenizer.save_pretrained(reference)
    fit = FixedFit(
        steps=4, batch_size=8, learning_rate=0.002, weight_decay=0.0, device="cpu", log_every=2
    )
    given: dict[str, Any] = {
        "reference": reference,
        "responses": responses,
        "comparisons": comparisons,
        "objectives": OBJECTIVES,
        "fit": fit,
        "seed": 0,
        "work_dir": root / "rivals",
        "judge": PocketRules(),
    }
    return Setting(**given | changes)
