"""The benchmark of killed sweeps sees what it is there to see: a training begun too early, an artifact that differs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
