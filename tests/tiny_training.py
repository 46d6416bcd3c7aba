"""A training run of a second: a small model, forty rows, two objectives that disagree."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.launching.run import TrainingRun
from mopo_pipeline.mopo import Comparisons, solve_dual
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.lag import NoLag, OfflineLag
from mopo_pipeline.tables import chat_prompt

WORDS = ["red", "green", "blue", "small", "large", "round", "flat", "old", "new", "warm"]
FIT: dict[str, Any] = {
    "steps": 8, "batch_size": 8, "learning_rate": 0.01, "log_every": 1,
    "save_every": 2, "device": "cpu",
}  # fmt: skip


def tiny_model(directory: Path, *, width: int = 16, seed: int = 0) -> Path:
    prompts, responses = tiny_texts()
    tokenizer = build_tokenizer(prompts, responses)
    model = build_model(tokenizer, layers=2, width=width, heads=2, max_length=64, seed=seed)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def tiny_texts() -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(0)
    prompts = [chat_prompt(" ".join(rng.choice(WORDS, 3))) for _ in range(8)]
    responses = [" ".join(rng.choice(WORDS, rng.integers(2, 7))) for _ in range(40)]
    return [p for p in prompts for _ in range(5)], responses


def tiny_run(model: Path, *, every: int | None = 3, **fit: Any) -> TrainingRun:
    """Rows weighted by the exact dual on random win rates; the reference follows every 3 steps."""
    prompts, responses = tiny_texts()
    win_rates = np.random.default_rng(1).uniform(0.1, 0.9, (40, 2))
    groups = np.repeat(np.arange(8), 5)
    thresholds = np.array([0.65])
    solution = solve_dual(win_rates, thresholds, tau=0.3, groups=groups)
    problem = DualProblem(
        ("help", "harm"),
        win_rates,
        groups,
        thresholds,
        0.3,
        0.0,
        0.0,
        "lagrangian",
        None,
        solution.multipliers,
        solution.bounds,
        solution.values[1:],
    )
    loaded, tokenizer = load_model(model)
    scored = sequence_logprobs(loaded, tokenizer, prompts, responses, max_length=32)
    rows = pd.DataFrame(
        {
            "unit": groups,
            "prompt": prompts,
            "response": responses,
            "weight": solution.ratio / solution.ratio.mean(),
            "reference_logprob": scored.logprob,
        }
    )
    lag = NoLag() if every is None else OfflineLag(every=every, min_ess=0.0)
    return TrainingRun("policy", model, rows, FitParams(**FIT | fit), 0, lag, None, problem)


def labelled_run(model: Path) -> TrainingRun:
    """A static reference, ten labelled validation prompts of six answers."""
    run = tiny_run(model, every=None)
    rng = np.random.default_rng(7)
    prompts = [chat_prompt(" ".join(rng.choice(WORDS, 3))) for _ in range(10) for _ in range(6)]
    prompts = [prompts[i // 6 * 6] for i in range(60)]
    answers = [" ".join(rng.choice(WORDS, 4)) for _ in range(60)]
    loaded, tokenizer = load_model(model)
    logprob = sequence_logprobs(loaded, tokenizer, prompts, answers, max_length=32).logprob
    validation = pd.DataFrame(
        {
            "unit": prompts,
            "prompt": prompts,
            "response": answers,
            "ended": True,
            "reference_logprob": logprob,
        }
    )
    pairs = np.array(
        [(g * 6 + i, g * 6 + j) for g in range(10) for i in range(6) for j in range(i)]
    )
    labels = rng.integers(2, size=(len(pairs), 2)).astype(float)
    labels[:, 1] = 0.0  # the second answer always harms less, so every policy is seen at one half
    return replace(
        run, validation=validation, labels=Comparisons(pairs[:, 0], pairs[:, 1], labels), context=32
    )


def with_fit(run: TrainingRun, **fit: Any) -> TrainingRun:
    return replace(run, fit=run.fit.model_copy(update=fit))
