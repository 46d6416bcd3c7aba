"""``kedro sweep`` says of every run of a sweep what it is at, or why it failed."""

import json
import os
import platform
import signal
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from mopo_pipeline.cli import sweep
from mopo_pipeline.fronts.executors.record import JobRecord
from mopo_pipeline.fronts.jobs import CONFIG, LOG
from mopo_pipeline.fronts.status import sweep_status
from mopo_pipeline.locks import HOLDER, birth, held

STARTED = "2026-01-02T03:04:05+00:00"


def job(folder: Path, words: str = "", holder: int | None = None, **record: Any) -> Path:
    """What a run leaves: its description, its words, who holds it, what it wrote down of itself."""
    runs = folder / "08_reporting" / "runs"
    runs.mkdir(parents=True)
    (folder / CONFIG).write_text("run: {}")
    if words:
        (folder / LOG).write_text(words)
    if holder is not None:
        said = {"pid": str(holder), "host": platform.node(), "started": STARTED}
        (folder / HOLDER).write_text(json.dumps(said))
    if record:
        (runs / "one.json").write_text(json.dumps({"started": STARTED} | record))
    return folder


def dead_process() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_a_run_that_was_killed_and_never_asked_for_its_end_does_not_run(tmp_path: Path) -> None:
    """Its number is there as long as its parent, or a container's first process, does not wait for it."""
    child = os.fork()
    if child == 0:
        signal.pause()
    said = {"pid": str(child), "host": platform.node(), "started": STARTED, "born": birth(child)}
    folder = job(tmp_path / "front/a", "step 7\n", status="running")
    (folder / HOLDER).write_text(json.dumps(said))
    assert [one.state for one in sweep_status(tmp_path)] == ["running"]
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert [one.state for one in sweep_status(tmp_path)] == ["stopped"]
    os.waitpid(child, 0)


def test_every_state_a_run_can_be_in_is_told_apart(tmp_path: Path) -> None:
    front, here = tmp_path / "front", os.getpid()
    job(front / "a", status="succeeded", finished="2026-01-02T03:05:05+00:00")
    job(front / "b", "step 7\n\n", here, status="running")
    job(front / "c", status="failed", error="the loss became nan\nat step 3", finished=STARTED)
    job(front / "d", "step 8\n", dead_process(), status="running")
    job(front / "e")
    full = "Error: train: no space left on the disk"
    job(front / "full", f"step 9\n{full}\n", dead_process(), status="running")
    job(front / "f", "Error: no such environment\n")
    job(tmp_path / "ablation" / "tau" / "g", status="interrupted", finished=STARTED)
    found = {one.name: one for one in sweep_status(tmp_path)}
    assert {name: (one.state, one.told) for name, one in found.items()} == {
        "ablation/tau/g": ("stopped", ""),
        "front/a": ("done", ""),
        "front/b": ("running", "step 7"),
        "front/c": ("failed", "the loss became nan at step 3"),
        "front/d": ("stopped", "step 8"),
        "front/e": ("waiting", ""),
        "front/f": ("failed", "no such environment"),
        "front/full": ("failed", "train: no space left on the disk"),
    }
    assert found["front/a"].seconds == 60.0
    assert found["front/d"].seconds is None


def test_the_runs_of_another_seeds_front_are_among_them(tmp_path: Path) -> None:
    seed = job(tmp_path / "front" / "seed-1", "x", os.getpid(), status="running")
    job(seed / "front" / "a", status="succeeded", finished=STARTED)
    names = [one.name for one in sweep_status(tmp_path)]
    assert names == ["front/seed-1", "front/seed-1/front/a"]


def test_a_process_that_came_to_the_number_of_a_dead_one_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    """In a container that is started again numbers repeat, and so does its name."""
    folder = job(tmp_path / "front" / "a", "step 7", status="running")
    with held(folder):
        assert sweep_status(tmp_path)[0].state == "running"
        said = json.loads((folder / HOLDER).read_text())
    (folder / HOLDER).write_text(json.dumps(said | {"born": "another boot 17"}))
    assert sweep_status(tmp_path)[0].state == "stopped"


def test_a_run_on_another_machine_is_believed(tmp_path: Path) -> None:
    folder = job(tmp_path / "front" / "a", "step 7", status="running")
    said = {"pid": str(dead_process()), "host": "elsewhere", "started": STARTED}
    (folder / HOLDER).write_text(json.dumps(said))
    assert sweep_status(tmp_path)[0].state == "running"


def test_a_record_that_is_half_written_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = job(tmp_path / "front" / "a", status="succeeded", finished=STARTED)
    (folder / "08_reporting" / "runs" / "two.json").write_text('{"status": "runn')
    assert sweep_status(tmp_path)[0].state == "done"


def test_a_clock_that_was_set_back_shortens_no_run(tmp_path: Path) -> None:
    before, later = "2026-01-02T02:00:00+00:00", "9999-01-02T03:04:05+00:00"
    job(tmp_path / "front" / "a", status="succeeded", finished=before, seconds=12.5)
    job(tmp_path / "front" / "b", "x", os.getpid(), status="running", started=later)
    assert [one.seconds for one in sweep_status(tmp_path)] == [12.5, 0.0]


def test_the_latest_run_counts_though_the_clock_was_set_back_before_it(tmp_path: Path) -> None:
    """Runs are named by the clock, and numbered."""
    folder = job(tmp_path / "front" / "a", status="failed", error="old", finished=STARTED, nth=1)
    later = {
        "started": "2026-01-02T02:00:00+00:00",
        "status": "succeeded",
        "seconds": 7.0,
        "nth": 2,
    }
    (folder / "08_reporting/runs/earlier_name.json").write_text(json.dumps(later))
    assert [(one.state, one.seconds) for one in sweep_status(tmp_path)] == [("done", 7.0)]


def test_the_job_of_a_cluster_is_named_with_its_log(tmp_path: Path) -> None:
    a, b = (job(tmp_path / "front" / name) for name in "ab")
    JobRecord("slurm", "41", "/jobs/41.err", {}).write(a)
    JobRecord("slurm", "42", "/jobs/42.err", {}, "ended without a result (timeout)").write(b)
    done = CliRunner().invoke(sweep, [str(tmp_path)])
    assert [" ".join(line.split()) for line in done.output.splitlines()] == [
        "front/a waiting (slurm job 41, log /jobs/41.err)",
        "front/b failed ended without a result (timeout) (slurm job 42, log /jobs/42.err)",
        "1 waiting, 1 failed",
    ]


def test_the_command_prints_a_line_per_run_and_counts_them(tmp_path: Path) -> None:
    job(tmp_path / "front" / "a", status="failed", error="no memory", finished=STARTED)
    job(tmp_path / "front" / "b", status="succeeded", finished=STARTED)
    done = CliRunner().invoke(sweep, [str(tmp_path)])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "front/a  failed        0 s  no memory",
        "front/b  done          0 s",
        "1 failed, 1 done",
    ]


def test_where_no_sweep_lies_the_command_says_how_one_is_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(sweep, [str(tmp_path)])
    assert done.exit_code == 2
    assert "kedro run --pipelines=front or ablation makes one" in done.output
