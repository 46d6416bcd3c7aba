"""What a run leaves besides its artifacts: a lock while it goes on, its record, its place, its language."""

import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from conftest import PROJECT, kedro, refused
from mopo_pipeline.datasets import AtomicTextDataset
from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.lock import RunLockHook
from mopo_pipeline.hooks.runs import RunLogHook, close_abandoned
from mopo_pipeline.locks import HeldError, held


def started(
    root: Path, *arguments: str, cwd: Path = PROJECT, **environment: str
) -> subprocess.Popen[str]:
    """A run in the ``test`` environment that goes on beside the test, and heeds Ctrl-C wherever the tests run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _process(root, *arguments, cwd=cwd, **environment)
    finally:
        signal.signal(signal.SIGINT, before)


def _process(root: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "kedro",
            "run",
            "--env=test",
            f"--params=data_root={root}",
            *arguments,
        ],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"COLUMNS": "400"} | environment,
    )


def wait_for(root: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list(root.rglob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def copy_project(target: Path) -> Path:
    """A project of its own, code included."""
    for part in ("conf", "src", "notebooks"):
        shutil.copytree(PROJECT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", target)
    return target


def records(root: Path) -> list[dict[str, object]]:
    files = sorted((root / "08_reporting/runs").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("Error: "))


def test_a_folder_has_one_holder_who_is_named(tmp_path: Path) -> None:
    with held(tmp_path, run_id="first"), pytest.raises(HeldError) as caught, held(tmp_path):
        pass
    assert caught.value.holder["run_id"] == "first"
    assert f"process {os.getpid()} on " in str(caught.value)
    with held(tmp_path):
        pass


def test_a_second_run_or_sweep_is_told_who_holds_its_folder(tmp_path: Path) -> None:
    hook = RunLockHook()
    hook._root = tmp_path
    with held(tmp_path, run_id="the-first"), pytest.raises(InputError) as told:
        hook.before_pipeline_run({"run_id": "the-second"})
    said = f"run the-first (process {os.getpid()} on {platform.node()}, started "
    assert str(told.value).startswith(said)
    hook.before_pipeline_run({"run_id": "the-second"})
    hook.after_pipeline_run()


def test_a_run_that_a_later_hook_refuses_leaves_its_folder_to_others(tmp_path: Path) -> None:
    """Kedro calls nothing after that, and a notebook's process lives on."""

    class Stale:
        @hook_impl
        def before_pipeline_run(self) -> None:
            raise InputError("stale")

    manager, lock = _create_hook_manager(), RunLockHook()
    lock._root = tmp_path
    for hook in (Stale(), lock):
        manager.register(hook)
    with pytest.raises(InputError, match="stale"):
        manager.hook.before_pipeline_run(run_params={"run_id": "one"}, pipeline=None, catalog=None)
    with held(tmp_path, run_id="another"):
        pass


def test_a_run_s_seconds_are_its_own_however_the_clock_is_set(tmp_path: Path) -> None:
    hook = RunLogHook()
    hook._folder, hook._began = tmp_path, time.monotonic() - 5.0
    hook._record = {"run_id": "one", "started": "9999-01-01T00:00:00+00:00"}
    hook._pipeline = Pipeline([])
    hook.after_pipeline_run(DataCatalog())
    [record] = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert 5.0 <= record["seconds"] < 600.0


def test_a_run_ends_with_the_place_of_the_page_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``explore``, ``front`` and ``ablation`` make one; that of a whole run is told by its closing table."""
    page = tmp_path / "08_reporting/explorer.html"
    hook = RunLogHook()
    hook._folder, hook._record = tmp_path / "runs", {"run_id": "one"}
    hook._pipeline = Pipeline(
        [
            Node(lambda: ("", "", 1), None, ["explorer", "report", "number"], name="write"),
            Node(lambda report: None, "report", None, name="print"),
        ]
    )
    files = {"explorer": page, "report": tmp_path / "report.html"}
    catalog = DataCatalog({name: AtomicTextDataset(filepath=str(p)) for name, p in files.items()})
    hook.after_pipeline_run(catalog)
    assert capsys.readouterr().err == f"page: {page}\n"


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with held(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(tmp_path.glob(".lock.json"))
    with held(tmp_path):
        pass


def test_a_run_that_ended_without_a_word_was_interrupted(tmp_path: Path) -> None:
    for name, status in {"a": "running", "b": "succeeded"}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"status": status}), encoding="utf-8")
    close_abandoned(tmp_path)
    found = [json.loads((tmp_path / f"{n}.json").read_text(encoding="utf-8")) for n in "ab"]
    assert [record["status"] for record in found] == ["interrupted", "succeeded"]


@pytest.mark.slow
def test_a_second_run_in_a_data_root_stops_and_names_the_first(
    tiny_run: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(tiny_run, tmp_path / "data")
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*.parquet")}
    with held(root, run_id="the-first"):
        line = error(kedro(data_root=root))
    assert f"run the-first (process {os.getpid()} on " in line
    assert f"is going on in {root}" in line
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*.parquet")}
    assert len(records(root)) == len(records(tiny_run))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_an_interrupted_run_says_how_to_go_on_and_does(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    process = started(tmp_path, "--to-nodes=plan.plan_training")
    wait_for(tmp_path, "win_rates.parquet", process)
    process.send_signal(number)
    said, _ = process.communicate(
        timeout=240
    )  # on a busy machine the node at work takes long to end
    assert process.returncode == status, said
    [record] = records(tmp_path)
    assert record["status"] == "interrupted"
    assert record["signal"] == number.name
    command = next(part for part in said.split("`") if part.startswith("kedro run --from-nodes="))
    assert set(shlex.split(command)[3:]) == {
        "--to-nodes=plan.plan_training",
        "--env=test",
        f"--params=data_root={tmp_path}",
    }
    assert not list(tmp_path.rglob("training_plan.json"))
    done = kedro(*shlex.split(command)[2:], data_root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("training_plan.json"))
    assert sorted(record["nth"] for record in records(tmp_path)) == [1, 2]


@pytest.mark.slow
def test_a_run_from_another_folder_writes_in_the_project_alone(
    tiny_run: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for part in ("conf", "src", "notebooks"):
        shutil.copytree(
            PROJECT / part, project / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "pyproject.toml", project)
    shutil.copytree(tiny_run, project / "runs/one")
    shutil.rmtree(project / "runs/one/06_models/policy")
    folder = project / "notebooks"
    before = sorted(folder.rglob("*"))
    process = started(
        Path("runs/one"),
        "--from-nodes=train.train_policy",
        cwd=folder,
        PYTHONPATH=str(project / "src"),
    )
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert sorted(folder.rglob("*")) == before
    card = (project / "runs/one/06_models/policy/README.md").read_text(encoding="utf-8")
    assert "| attained |" in card
    assert str(project / "runs/one/08_reporting/report.html") in said
    assert re.search(r"^figures ━+ (\d+)/\1 ", said, flags=re.M)


@pytest.mark.slow
def test_a_run_survives_a_language_setting_that_knows_no_dashes(
    tiny_run: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(tiny_run, tmp_path / "data")
    settings = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "en_US.ISO-8859-1"}
    process = started(root, "--pipelines=report", **settings)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "report.html" in said


@pytest.mark.slow
def test_a_summary_names_its_environment_and_the_seconds_of_its_run(tiny_run: Path) -> None:
    [path] = tiny_run.rglob("run_summary.json")
    summary = json.loads(path.read_text(encoding="utf-8"))
    [record] = [r for r in records(tiny_run) if len(r["nodes"]) > 20]
    assert summary["environment"] == record["environment"] == "test"
    names = list(record["node_seconds"])
    before = names[: names.index("report.summarise_run")]
    assert 0 < sum(record["node_seconds"][name] for name in before) <= summary["seconds"] + 1
    page = next(tiny_run.rglob("report.html")).read_text(encoding="utf-8")
    assert re.search(r"<h1>[^<]*\btest\b[^<]*seed 0", page)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["responses.parquet", "policy/model.safetensors"])
def test_what_was_changed_in_place_is_refused(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = shutil.copytree(tiny_run, tmp_path / "data")
    [path] = root.rglob(name)
    if name.endswith(".parquet"):
        table = pd.read_parquet(path)
        table.assign(response=table["response"] + " indeed").to_parquet(path, index=False)
    else:
        weights = bytearray(path.read_bytes())
        weights[-1] ^= 1
        path.write_bytes(weights)
    given = ("--env=test", "--only-missing-outputs", f"--params=data_root={root}")
    line = refused(*given, monkeypatch=monkeypatch)
    maker = "ingest.ingest_source" if name.endswith(".parquet") else "train.train_policy"
    assert (
        f"is not what {maker} left in {path if path.suffix == '.parquet' else path.parent}" in line
    )
    assert f"--from-nodes={maker}" in line


@pytest.mark.slow
def test_a_loss_turned_round_is_trained_again_and_never_up_to_date(
    tiny_run: Path, tmp_path: Path
) -> None:
    root, project = shutil.copytree(tiny_run, tmp_path / "data"), copy_project(tmp_path / "project")
    file = project / "src/mopo_pipeline/training/loss.py"
    text = file.read_text(encoding="utf-8")
    turned = text.replace("return -(weight * logprob)", "return (weight * logprob)")
    assert turned != text
    file.write_text(turned, encoding="utf-8")
    source = str(project / "src")
    process = started(root, "--only-missing-outputs", cwd=project, PYTHONPATH=source)
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "other code (mopo_pipeline.training.loss)" in said
    assert "--from-nodes=reference.train_reference" in said
    old = (root / "06_models/reference_policy/model.safetensors").read_bytes()
    only = ("--from-nodes=reference.train_reference", "--to-nodes=reference.train_reference")
    process = started(root, *only, cwd=project, PYTHONPATH=source)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "up to date" not in said
    assert (root / "06_models/reference_policy/model.safetensors").read_bytes() != old
