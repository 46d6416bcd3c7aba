"""The benchmark of killed sweeps sees what it is there to see: a training begun too early, an artifact that differs."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import PROJECT


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sweep_bench", PROJECT / "benchmarks/sweep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sweep_bench"] = module
    spec.loader.exec_module(module)
    return module


def attempt(root: Path, steps_left: int | None, checkpoint: int | None) -> None:
    """What an attempt at a point leaves: its words, and a sealed checkpoint beside one that was cut short."""
    point = root / "front/a"
    point.mkdir(parents=True, exist_ok=True)
    (point / "run.yml").write_text("run: {}")
    told = "" if steps_left is None else f"INFO  policy: {steps_left} steps of 16 rows, 2.0 times"
    (point / "run.log").write_text(told)
    if checkpoint is not None:
        training = point / "06_models/checkpoints/policy-0"
        for step in (checkpoint, checkpoint + 10):
            (training / f"checkpoint-{step}").mkdir(parents=True, exist_ok=True)
        (training / f"checkpoint-{checkpoint}/manifest.json").write_text("{}")


def test_steps_up_to_the_checkpoints_are_counted_once(bench: ModuleType, tmp_path: Path) -> None:
    trainings = bench.Trainings(60)
    for left, checkpoint in [(60, None), (60, 20), (40, None), (40, 60), (None, None)]:
        attempt(tmp_path, left, checkpoint)
        trainings.count(tmp_path)
    assert trainings.trained["a"] == 60
    assert trainings.again == []


def test_a_training_that_begins_before_its_checkpoint_is_told(
    bench: ModuleType, tmp_path: Path
) -> None:
    trainings = bench.Trainings(60)
    for left, checkpoint in [(60, 20), (60, 60)]:
        attempt(tmp_path, left, checkpoint)
        trainings.count(tmp_path)
    assert trainings.again == ["a from step 0 beside checkpoint 20"]
    assert trainings.trained["a"] == 80


def test_an_artifact_that_differs_or_is_missing_is_named(bench: ModuleType, tmp_path: Path) -> None:
    for root, text in (("one", "1"), ("other", "2")):
        folder = tmp_path / root / "front/a/06_models"
        (folder / "checkpoints").mkdir(parents=True)
        (folder.parent / "run.yml").write_text("")
        (folder / "policy.json").write_text(text)
        (folder / "same.json").write_text("")
        (folder / "training_log.parquet").write_text(text)
        (folder / "checkpoints/step.json").write_text(text)
    (tmp_path / "one/front/a/06_models/lost.json").write_text("")
    different, of = bench.differing(tmp_path / "one", tmp_path / "other")
    assert different == ["a/06_models/lost.json", "a/06_models/policy.json"]
    assert of == 3


def finished(root: Path, text: str) -> None:
    folder = root / "front/a/06_models/policy"
    folder.mkdir(parents=True)
    (root / "front/a/run.yml").write_text("")
    (folder / "model.safetensors").write_text(text)


def test_what_kills_did_is_added_up_over_sweeps(bench: ModuleType, tmp_path: Path) -> None:
    for name, text in (("two", "1"), ("killed-0", "1"), ("killed-1", "2")):
        finished(tmp_path / name, text)
    seen = bench.Disturbed()
    for name, steps in (("killed-0", 60), ("killed-1", 80)):
        trainings = bench.Trainings(60)
        trainings.trained["a"] = steps
        seen.add(tmp_path / "two", tmp_path / name, trainings)
    assert seen.ratios() == "points_there=1.000 steps_trained=1.167 artifacts_equal=0.500"
    assert "a/06_models/policy/model.safetensors" in seen.words()


def test_a_sweep_that_is_complete_is_killed_no_more(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path, "1")
    started = []

    def sweep(root: Path, settings: dict[str, Any]) -> "subprocess.Popen[bytes]":
        started.append(root)
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(bench, "sweep", sweep)
    asked = {"front": {"points": 1}}
    done = bench.disturbed(tmp_path, asked, 20, 0.1, bench.Trainings(60), random.Random(0))
    assert (done.total(), started) == (0, [tmp_path])


def test_the_runs_of_a_sweep_are_found_among_its_processes(bench: ModuleType) -> None:
    sleeping = "import time; print(flush=True); time.sleep(60)"
    given = [[], ["--config=run.yml"]]
    started = [
        subprocess.Popen([sys.executable, "-c", sleeping, *more], stdout=subprocess.PIPE)
        for more in given
    ]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        assert started[1].pid in bench.runs_of(os.getpid())
        assert started[0].pid not in bench.runs_of(os.getpid())
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert started[1].pid not in bench.runs_of(os.getpid())
