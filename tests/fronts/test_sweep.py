"""Runs side by side: one that dies takes nothing with it, one that is stopped leaves nothing behind."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import PROJECT
from mopo_pipeline.fronts import sweep
from mopo_pipeline.fronts.executors.processes import Processes
from mopo_pipeline.fronts.jobs import Job, failure, folder_name, forget, share, write_config
from mopo_pipeline.parameters.front import SweepRun

RUN = SweepRun(project=".", conf_source="conf", environment="test", params={"task": {"seed": 3}})


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each job runs in place of Kedro, by name; ``START`` holds the policy it starts from."""
    given: dict[str, str] = {}

    def written(job: Job, run: SweepRun, params: Mapping[str, Any]) -> list[str]:
        start = params.get("train", {}).get("start", "")
        return ["-c", f"START = {start!r}\n" + given.get(job.name, "")]

    monkeypatch.setattr(sweep, "write_config", written)
    return given


def jobs(root: Path, *pairs: tuple[str, str | None]) -> list[Job]:
    return [Job(name, root / folder_name(name), {}, start=start, steps=5) for name, start in pairs]


def test_a_job_that_dies_costs_only_its_own_point(scripts: dict[str, str], tmp_path: Path) -> None:
    scripts["b"] = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    scripts["c"] = "print('Error: the loss became nan at step 3'); raise SystemExit(1)"
    done = sweep.run_jobs(
        jobs(tmp_path, ("a", None), ("b", None), ("c", None), ("d", None)),
        RUN,
        tmp_path,
        Processes(2),
    )
    assert {n: o.status for n, o in done.items()} == {
        "a": "done",
        "b": "failed",
        "c": "failed",
        "d": "done",
    }
    assert done["b"].reason.startswith("ended by signal 9")
    assert done["c"].reason == "the loss became nan at step 3"


def test_who_would_start_from_a_failed_point_starts_from_its_nearest_trained_forebear(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    scripts["b"] = "raise SystemExit(1)"
    for name in "acd":
        scripts[name] = f"open({str(tmp_path / name)!r} + '.start', 'w').write(START)"
    done = sweep.run_jobs(
        jobs(tmp_path, ("a", None), ("b", "a"), ("c", "b"), ("d", "c")), RUN, tmp_path, Processes(2)
    )
    assert [done[n].start for n in "abcd"] == [None, "a", "a", "c"]
    assert (tmp_path / "c.start").read_text() == str(tmp_path / "a/06_models/policy")


def test_without_a_trained_forebear_a_point_starts_from_the_reference_with_all_steps(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    scripts["a"] = "raise SystemExit(1)"
    scripts["b"] = "assert START == '', START"
    done = sweep.run_jobs(jobs(tmp_path, ("a", None), ("b", "a")), RUN, tmp_path, Processes(2))
    assert done["b"].status == "done"
    assert done["b"].start is None


def test_what_other_parameters_made_is_made_again_once(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    """A run refuses an artifact of other parameters; what a point made itself is removed, what is shared stays."""
    folder = tmp_path / "a"
    artifact(folder / "05_model_input", "training_plan", "plan.plan_training")
    artifact(folder / "03_primary", "responses", "ingest.ingest_source")
    scripts["a"] = (
        f"import os\nif os.path.exists({str(folder / '05_model_input/training_plan.json')!r}):\n"
        "    print('Error: training_plan was made with x: run `kedro run --from-nodes=plan.plan_training`')\n"
        "    raise SystemExit(1)"
    )
    done = sweep.run_jobs(jobs(tmp_path, ("a", None)), RUN, tmp_path / "root", Processes(1))
    assert done["a"].status == "done"
    assert (folder / "03_primary/responses.json").is_file()


def test_a_point_that_stays_stale_is_told_and_not_tried_for_ever(
    scripts: dict[str, str], tmp_path: Path
) -> None:
    scripts["a"] = "print('Error: run `kedro run --from-nodes=ingest.x`'); raise SystemExit(1)"
    assert (
        sweep.run_jobs(jobs(tmp_path, ("a", None)), RUN, tmp_path, Processes(1))["a"].status
        == "failed"
    )


@pytest.mark.parametrize("where", ["parameters", "log"])
def test_a_full_disk_costs_the_point_it_meets_and_no_other(
    scripts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "b/run"))
    written, opened = sweep.write_config, Path.open

    def write(job: Job, run: SweepRun, params: Mapping[str, Any]) -> list[str]:
        if job.name == "b" and where == "parameters":
            raise full
        return written(job, run, params)

    def open_file(path: Path, *given: Any, **options: Any) -> Any:
        if where == "log" and path == tmp_path / "b/run.log":
            raise full
        return opened(path, *given, **options)

    monkeypatch.setattr(sweep, "write_config", write)
    monkeypatch.setattr(Path, "open", open_file)
    done = sweep.run_jobs(
        jobs(tmp_path, ("a", None), ("b", None), ("c", "b")), RUN, tmp_path, Processes(2)
    )
    assert [done[name].status for name in "abc"] == ["done", "failed", "done"]
    assert "No space left on device" in done["b"].reason
    assert str(tmp_path / "b") in done["b"].reason


@pytest.mark.parametrize("left", ['{"node": "plan.plan_training"}', '{"node": "plan.pl', ""])
def test_what_a_killed_run_left_without_its_fingerprint_is_made_again(
    scripts: dict[str, str], tmp_path: Path, left: str
) -> None:
    folder = tmp_path / "a"
    artifact(folder / "05_model_input", "training_plan", "plan.plan_training")
    (folder / "05_model_input/.training_plan.fingerprint.json").write_text(left)
    plan = folder / "05_model_input/training_plan.json"
    scripts["a"] = (
        f"import os\nif os.path.exists({str(plan)!r}):\n"
        "    print('Error: training_plan carries no fingerprint: run `kedro run --from-nodes=plan.plan_training`')\n"
        "    raise SystemExit(1)"
    )
    done = sweep.run_jobs(jobs(tmp_path, ("a", None)), RUN, tmp_path / "root", Processes(1))
    assert done["a"].status == "done"


def test_processes_run_one_thread_each_and_at_most_as_many_as_asked(tmp_path: Path) -> None:
    code = "import os, time; time.sleep(.2); print(os.environ['OMP_NUM_THREADS'])"
    started = time.monotonic()
    with Processes(2) as executor:
        found = [executor.submit(["-c", code], tmp_path / f"{i}.log", tmp_path) for i in range(4)]
        assert [f.result() for f in found] == [0] * 4
    assert time.monotonic() - started > 0.4
    assert (tmp_path / "0.log").read_text() == "1\n"


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be counted does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_or_killed_ends_its_processes(
    tmp_path: Path, how: signal.Signals
) -> None:
    code = (
        "import signal, sys; from pathlib import Path; from mopo_pipeline.fronts.executors.processes import Processes\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "root = Path(sys.argv[1])\n"
        "child = \"import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)\"\n"
        "with Processes(1) as executor:\n"
        "    executor.submit(['-c', child], root / 'log', root).result()\n"
    )
    sweeping = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    pid = tmp_path / "pid"
    while not pid.is_file() or not pid.read_text():
        assert sweeping.poll() is None
        time.sleep(0.05)
    sweeping.send_signal(how)
    sweeping.wait(30)
    waited = 0
    while alive(int(pid.read_text())) and waited < 200:
        time.sleep(0.05)
        waited += 1
    assert not alive(int(pid.read_text()))


def artifact(folder: Path, name: str, node: str, text: str = "{}") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text)
    (folder / f".{name}.fingerprint.json").write_text(json.dumps({"node": node, "content": text}))


def test_shared_artifacts_are_linked_with_their_fingerprints_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    root, folder = tmp_path / "root", tmp_path / "root/front/a"
    artifact(root / "03_primary", "responses", "ingest.ingest_source")
    artifact(root / "05_model_input", "training_plan", "plan.plan_training")
    model = root / "06_models/reference_policy"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (root / "06_models/.reference_policy.fingerprint.json").write_text(
        '{"node": "reference.train_reference"}'
    )
    share(root, folder, Job("a", folder, {}).shares)
    assert os.path.samefile(
        root / "03_primary/responses.json", folder / "03_primary/responses.json"
    )
    assert os.path.samefile(
        model / "config.json", folder / "06_models/reference_policy/config.json"
    )
    assert not (folder / "05_model_input").exists()
    artifact(root / "03_primary", "responses", "ingest.ingest_source", "[1]")
    share(root, folder, Job("a", folder, {}).shares)
    assert (folder / "03_primary/responses.json").read_text() == "[1]"
    forget(folder, Job("a", folder, {}).shares)
    assert (folder / "03_primary/responses.json").is_file()


def test_a_run_s_file_holds_the_sweep_s_parameters_and_its_own(tmp_path: Path) -> None:
    job = Job("a", tmp_path / "a", {"plan": {"thresholds": {"harm": 0.5}}})
    command = write_config(job, RUN, {"train": {"start": "/x"}})
    told = yaml.safe_load((tmp_path / "a/run.yml").read_text())["run"]
    assert command[:3] == ["-m", "kedro", "run"]
    assert told["env"] == "test"
    assert told["pipelines"] == "train,evaluate"
    assert told["params"] == {
        "task": {"seed": 3},
        "plan": {"thresholds": {"harm": 0.5}},
        "train": {"start": "/x"},
        "data_root": str(tmp_path / "a"),
    }


def test_a_failure_without_a_word_of_its_own_shows_the_last_words(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("Killed by nobody\nMemoryError\n\n")
    assert failure(1, log) == f"ended with code 1, last words: MemoryError (all of them in {log})"


def test_a_training_that_is_taken_again_cost_what_it_cost(tmp_path: Path) -> None:
    runs = tmp_path / "08_reporting/runs"
    runs.mkdir(parents=True)
    assert sweep.training_seconds(tmp_path) is None
    for name, seconds in {
        "a": {"train.train_policy": 90.0},
        "b": {"train.train_policy": 2.0},
        "c": {},
    }.items():
        (runs / f"{name}.json").write_text(json.dumps({"node_seconds": seconds}))
    (runs / "d.json").write_text('{"node_sec')
    assert sweep.training_seconds(tmp_path) == 90.0
