"""Training under diagnosis: what is wrong ends the run or is told, what is right is left alone."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from transformers import TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.launching.run import train
from mopo_pipeline.mopo import Limits
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.lag import LagParams
from mopo_pipeline.policies.extract import repetition
from mopo_pipeline.training.watch import DiagnosisCallback, training_findings
from tiny_training import tiny_model, tiny_run

NAMES = ("help", "harm")


def history(**changes: np.ndarray) -> list[dict[str, float]]:
    columns = {
        "step": np.arange(1.0, 21.0),
        "weighted_nll": np.linspace(3, 2, 20),
        "kl_to_reference": np.linspace(0, 0.4, 20),
        "reference_ess": np.ones(20),
        "support": np.ones(20),
        "margin_share": np.ones(20),
        "refreshes": np.zeros(20),
        "multiplier_harm": np.ones(20),
    } | changes
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def watch(log_history: list[dict[str, float]], directory: Path) -> DiagnosisCallback:
    callback = DiagnosisCallback(NAMES, None, Limits())
    state = TrainerState(global_step=20, max_steps=20, log_history=log_history)
    callback.on_log(TrainingArguments(output_dir=str(directory)), state, TrainerControl())
    return callback


def test_a_healthy_run_goes_on(tmp_path: Path) -> None:
    assert watch(history(), tmp_path).findings == []


def test_a_collapsing_run_ends_with_the_reason_and_where_its_checkpoints_are(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingStoppedError, match="policy collapsed") as caught:
        watch(history(weighted_nll=np.geomspace(3, 0.01, 20)), tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_warning_is_told_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        callback = watch(history(support=np.linspace(1, 0.5, 20)), tmp_path)
    assert "step 20: policy leaves the data: 0.5 (limit 0.9)" in caplog.text
    assert [f["name"] for f in training_findings([callback])] == ["policy leaves the data"]


@pytest.mark.slow
def test_a_real_run_is_watched_from_its_first_logged_step(tmp_path: Path) -> None:
    run = tiny_run(tiny_model(tmp_path / "model"))
    lag = run.lag.model_copy(update={"max_multiplier": 1e-4})
    with pytest.raises(TrainingStoppedError, match="step 1: multiplier runs away: harm"):
        train(replace(run, lag=lag), tmp_path / "stopped")
    result = train(run, tmp_path / "whole")
    facts = json.loads((result.directory.parent / "log.json").read_text())
    assert facts["findings"] == result.findings


@pytest.mark.parametrize(
    ("lag", "times"),
    [
        ({}, None),
        ({"every": 100, "mode": "fresh", "fresh_prompts": 500}, None),
        ({"every": 100, "mode": "fresh", "fresh_prompts": 10}, 6400 / 160),
        ({"every": 1000, "mode": "fresh", "fresh_prompts": 500}, 700 * 64 / (300 * 16)),
        ({"mode": "offline", "every": 100}, None),
        ({"mode": "offline", "every": 100, "rows": 640}, 10.0),
    ],
)
def test_rows_learned_by_heart_between_two_refreshes_are_told(
    lag: dict[str, Any], times: float | None
) -> None:
    fit = FitParams(steps=700, batch_size=64).over(9000)
    found = repetition(TypeAdapter(LagParams).validate_python(lag), fit, 9000, 300)
    assert [finding.value for finding in found] == ([] if times is None else [pytest.approx(times)])
