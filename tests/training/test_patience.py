"""A run ends early where validation holds and nothing more is gained, and only there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.progress import Progress
from transformers import TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.errors import InputError
from mopo_pipeline.launching import worker
from mopo_pipeline.launching.fit_checks import check_trackers
from mopo_pipeline.launching.run import TrainingRun, prepare
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.schedule.candidates import Weighed
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.parameters.train import LoopParams
from mopo_pipeline.training.assemble import training_arguments
from mopo_pipeline.training.callbacks import ProgressCallback
from mopo_pipeline.training.patience import after_look
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.step_log import StepLog
from tiny_training import labelled_run, tiny_model, with_fit

ASKED = np.array([0.5])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return labelled_run(tiny_model(tmp_path_factory.mktemp("model")))


def seen(primary: float, harm: float) -> Seen:
    return Seen(np.array([primary, harm]), np.full(2, 0.1), np.full(2, 100.0))


def counted(*looks: tuple[float, float]) -> list[int]:
    """How many looks held and gained nothing, after each; errors are .01."""
    none = np.zeros(0)
    state, found = LagState(*[none] * 8, none > 0), []
    for look in looks:
        told = seen(*look)
        state = after_look(state, told, Weighed(told.values, ASKED))
        found.append(state.stalled)
    return found


def test_looks_count_that_hold_and_gain_no_more_than_noise() -> None:
    assert counted((0.60, 0.51), (0.605, 0.52), (0.599, 0.5), (0.62, 0.51)) == [0, 1, 2, 0]


def test_a_look_that_misses_a_threshold_begins_the_count_anew() -> None:
    assert counted((0.6, 0.51), (0.6, 0.51), (0.6, 0.49), (0.5, 0.51), (0.5, 0.51)) == [
        0,
        1,
        0,
        0,
        1,
    ]
    assert counted((np.nan, 0.51), (np.nan, 0.51)) == [0, 0]


def patient(run: TrainingRun, patience: int | None, harm: float) -> TrainingRun:
    """Four looks, after steps 4 to 7 of 8; every policy is seen at one half."""
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([harm]))
    return replace(run, problem=problem, loop=LoopParams(rounds=4, patience=patience))


def finished(run: TrainingRun, root: Path) -> Path:
    directory = prepare(run, root)
    worker.main(directory)
    return directory


def facts(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "log.json").read_text()))


@pytest.mark.slow
def test_a_run_ends_early_only_where_validation_holds(run: TrainingRun, tmp_path: Path) -> None:
    early, missing, never = (
        facts(finished(patient(run, *given), tmp_path / name))
        for name, given in (("a", (1, 0.3)), ("b", (1, 0.65)), ("c", (None, 0.3)))
    )
    last = early["history"][-1]
    assert last["step"] < 8
    assert {"validation_help", "validation_harm_se", "required_harm"} <= set(last)
    [told] = [f for f in early["findings"] if f["name"] == "training ended early"]
    assert (told["value"], told["limit"]) == (last["step"], 8.0)
    for whole in (missing, never):
        assert whole["history"][-1]["step"] == 8
        assert not [f for f in whole["findings"] if f["name"] == "training ended early"]


@pytest.mark.slow
def test_one_prompt_is_not_seen_to_hold_anything(run: TrainingRun, tmp_path: Path) -> None:
    """All of its value may be chance: it neither ends a run early nor tells candidates apart."""
    assert run.labels is not None
    labels = np.array(run.labels.labels)
    labels[np.asarray(run.labels.first) >= 6, 1] = np.nan
    given = patient(run, 1, 0.3)
    loop = given.loop.model_copy(update={"candidates": (1.0, 0.5)})
    told = facts(
        finished(replace(given, labels=replace(run.labels, labels=labels), loop=loop), tmp_path)
    )
    assert told["history"][-1]["step"] == 8
    assert "no candidate is seen to hold" in {finding["name"] for finding in told["findings"]}


@pytest.mark.slow
def test_an_early_end_is_the_same_after_a_resume(run: TrainingRun, tmp_path: Path) -> None:
    """Killed after its end was saved, and one checkpoint before; without patience the run goes on and differs."""
    directory = finished(patient(run, 1, 0.3), tmp_path)
    model, told = (directory / "final/model.safetensors").read_bytes(), facts(directory)
    steps = sorted(int(p.name.split("-")[1]) for p in directory.glob("checkpoint-*"))
    assert steps[-1] == told["history"][-1]["step"] < 8
    for lost in ([], [f"checkpoint-{steps[-1]}"]):
        shutil.rmtree(directory / "final")
        for checkpoint in lost:
            shutil.rmtree(directory / checkpoint)
        worker.main(directory)
        assert (directory / "final/model.safetensors").read_bytes() == model
        again = facts(directory)
        assert again["findings"] == told["findings"]
        assert again["history"][-1]["validation_help"] == told["history"][-1]["validation_help"]
    other = finished(patient(run, None, 0.3), tmp_path)
    assert (other / "final/model.safetensors").read_bytes() != model


def test_the_progress_line_says_what_was_last_seen_of_each_objective(tmp_path: Path) -> None:
    watched, bar = StepLog(("help", "harm"), 1), Progress(disable=True)
    callback = ProgressCallback(bar, "policy", watched)
    state, control = TrainerState(global_step=1, max_steps=8), TrainerControl()
    arguments = TrainingArguments(output_dir=str(tmp_path))
    callback.on_train_begin(arguments, state, control)
    callback.on_step_end(arguments, state, control)
    assert bar.tasks[0].description == "policy"
    watched.look(seen(0.6, 0.52), ASKED)
    callback.on_step_end(arguments, state, control)
    assert bar.tasks[0].description == "policy: help 0.600±0.020, harm 0.520±0.020 (wants 0.500)"
    watched.look(seen(0.6, 0.52), np.array([1.01]))
    assert watched.told.endswith("harm 0.520±0.020 (too few prompts to see it hold)")


def test_trackers_are_those_that_are_named_and_none_by_default(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = "transformers.integrations.integration_utils.get_available_reporting_integrations"
    monkeypatch.setattr(available, lambda: ["tensorboard"])
    spec = RunSpec.read(prepare(with_fit(run, report_to=("tensorboard",)), tmp_path))
    assert training_arguments(tmp_path, spec).report_to == ["tensorboard"]
    assert prepare(run, tmp_path) == prepare(with_fit(run, report_to=("tensorboard",)), tmp_path)
    assert training_arguments(tmp_path, run.spec).report_to == []
    check_trackers(["tensorboard"], "train.fit")
    with pytest.raises(InputError, match=r"train\.fit\.report_to names wandb.*pip install wandb"):
        check_trackers(["tensorboard", "wandb"], "train.fit")
