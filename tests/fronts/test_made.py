"""What is told of a run is what that run did, not what the run that sweeps would do."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mopo_pipeline.fronts import collect
from mopo_pipeline.fronts.sweep import training_seconds
from mopo_pipeline.fronts.tuning import UNTUNED
from mopo_pipeline.parameters.evaluate import EvaluateParams

OURS = {"train.fit.learning_rate": 0.002, "train.fit.batch_size": 16, "train.fit.accumulation": 1,
        "train.lag.mode": "fresh", "train.lag.fresh_prompts": 8, "train.lag.validation_prompts": 4,
        "train.lag.fresh_responses": 2}  # fmt: skip
OFFLINE = {"train.fit.learning_rate": 0.001, "train.fit.batch_size": 8, "train.fit.accumulation": 2,
           "train.lag.mode": "none"}  # fmt: skip
THRESHOLDS = {"harm": 0.5}


def plan_of(price: float) -> dict[str, Any]:
    return {
        "thresholds": THRESHOLDS,
        "values": {"help": 0.6, "harm": 0.5},
        "multipliers": {"harm": price},
        "kl": 1.0,
    }


def left_by_run(folder: Path, made: dict[str, Any], steps: int, price: float) -> dict[str, Any]:
    """A run's folder, as far as a front reads it, and how it ended."""
    for name in ("03_primary", "05_model_input", "06_models", "08_reporting"):
        (folder / name).mkdir(parents=True)
    (folder / "06_models/.policy.fingerprint.json").write_text(json.dumps({"parameters": made}))
    log = {"step": [steps - 5, steps], "refreshes": [0.0, 1.0], "seconds": [20.0, 30.0]}
    pd.DataFrame(log).to_parquet(folder / "06_models/training_log.parquet")
    rows = {"prompt_id": list("aabc"), "split": ["train", "train", "train", "validation"]}
    pd.DataFrame(rows).to_parquet(folder / "03_primary/responses.parquet")
    pd.DataFrame({"n_tokens": [3, 5]}).to_parquet(
        folder / "05_model_input/reference_logprobs.parquet"
    )
    (folder / "05_model_input/training_plan.json").write_text(json.dumps(plan_of(price)))
    (folder / "08_reporting/certificate.json").write_text(json.dumps({"verdict": "certified"}))
    return {"status": "done", "reason": "", "folder": str(folder), "start": None, "seconds": 7.0}


def test_a_variant_is_told_by_its_own_plan_parameters_steps_and_costs(tmp_path: Path) -> None:
    runs = {
        "p": left_by_run(tmp_path / "p", OURS, steps=40, price=2.0),
        "offline/p": left_by_run(tmp_path / "offline", OFFLINE, steps=25, price=0.5),
    }
    plan = {"points": [{"point": "p", "status": "planned"} | plan_of(2.0)]}
    ours, offline = collect.trained_candidates(
        plan,
        {"points": runs, "tuning": UNTUNED.as_dict()},
        0,
        EvaluateParams(),
        {"offline": {"train.lag": {"mode": "none"}}},
        [],
    )
    assert (ours.planned["multiplier_harm"], offline.planned["multiplier_harm"]) == (2.0, 0.5)
    assert offline.planned["price_harm"] == -0.5
    assert offline.hyperparameters == {
        "steps": 25,
        "learning_rate": 0.001,
        "batch_size": 16,
        "lag": "none",
        "start": None,
    }
    assert (offline.spent.sequences, offline.spent.generated_tokens, offline.spent.judge_calls) == (
        25 * 16,
        0,
        0,
    )
    # one refresh of two training prompts, two looks at one validation prompt, two answers each, four tokens an answer
    assert (ours.spent.sequences, ours.spent.judge_calls, ours.spent.generated_tokens) == (
        640,
        8,
        32,
    )


def test_a_variant_that_never_planned_is_known_by_what_was_asked_alone(tmp_path: Path) -> None:
    plan = {"points": [{"point": "p", "status": "planned"} | plan_of(2.0)]}
    failed = {"status": "failed", "reason": "stopped", "folder": str(tmp_path)}
    [found] = collect.trained_candidates(
        plan,
        {"points": {"offline/p": failed}, "tuning": UNTUNED.as_dict()},
        0,
        EvaluateParams(),
        {"offline": {"plan.tau": 9.0}},
        [],
    )
    assert found.planned == {"threshold_harm": 0.5}


@pytest.mark.parametrize(("attempts", "told"), [([None, 12.0], 50.0), ([60.0, 1.0], 60.0)])
def test_a_training_that_was_killed_counts_the_time_before_the_kill(
    tmp_path: Path, attempts: list[float | None], told: float
) -> None:
    """Its log goes on from the checkpoint; the record of the attempt that ended knows its own part alone."""
    left_by_run(tmp_path / "p", OURS, steps=40, price=2.0)
    (tmp_path / "p/08_reporting/runs").mkdir()
    for place, seconds in enumerate(attempts):
        spent = {} if seconds is None else {"train.train_policy": seconds}
        (tmp_path / f"p/08_reporting/runs/{place}.json").write_text(
            json.dumps({"node_seconds": spent})
        )
    assert training_seconds(tmp_path / "p") == told
