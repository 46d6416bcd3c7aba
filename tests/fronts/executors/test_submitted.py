"""Runs as jobs of a cluster: the same futures, the same ends; a job that is lost costs its own point and is named."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import submitit_stand_in
from conftest import PROJECT
from mopo_pipeline.baselines import registry
from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.executors import choose, job
from mopo_pipeline.fronts.executors.base import LostRunError
from mopo_pipeline.fronts.executors.record import JOB, JobRecord, given_to, read_record
from mopo_pipeline.fronts.executors.submitted import Submitted
from mopo_pipeline.fronts.status import sweep_status
from mopo_pipeline.hooks import ExecutorHook
from mopo_pipeline.hooks.guard import UsersError
from mopo_pipeline.locks import held
from mopo_pipeline.parameters.executor import ExecutorParams
from mopo_pipeline.pipeline_registry import register_pipelines

FAKE_SLURM = {
    "sbatch": """
        id=$(date +%s%N | cut -c9-18 | sed 's/^0*//')
        (export SLURM_JOB_ID=$id
         out=$(sed -n 's/^#SBATCH --output=//p' "$1" | tr -d "'" | sed "s/%j/$id/")
         while :; do rm -f "$STATES/$id.again"; echo RUNNING > "$STATES/$id"; bash "$1" >> "$out" 2>&1
           [ -f "$STATES/$id.again" ] || break; done
         echo COMPLETED > "$STATES/$id") > /dev/null 2>&1 &
        echo $! > "$STATES/$id.pid"
        echo "Submitted batch job $id"
    """,
    "srun": """
        while [ "${1#-}" != "$1" ]; do
          case $1 in
            --output) out=$(echo "$2" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/"); shift 2;;
            --error) err=$(echo "$2" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/"); shift 2;;
            *) shift;;
          esac
        done
        echo $$ > "$STATES/$SLURM_JOB_ID.task"
        exec "$@" >> "$out" 2>> "$err"
    """,
    "sacct": """
        echo "JobID|State|NodeList"
        for file in "$STATES"/*.pid; do
          id=$(basename "$file" .pid)
          echo "$id|$(cat "$STATES/$id")|here"
        done
    """,
    "scancel": 'kill -INT "$(cat "$STATES/$1.task")"',
    "scontrol": 'touch "$STATES/$2.again"',
}  # fmt: skip
"""Enough of SLURM for submitit to hand jobs over, ask for them, cancel and requeue them."""


@pytest.fixture(params=["stand-in", "real"])
def submitit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """submitit where it is installed, and what stands in for it where it is not: both pass the same tests."""
    if request.param == "real":
        found = pytest.importorskip("submitit")
        source = os.pathsep.join([str(PROJECT / "src"), os.environ.get("PYTHONPATH", "")])
        monkeypatch.setenv("PYTHONPATH", source)
        for kind in (found.LocalJob, found.SlurmJob):
            monkeypatch.setattr(kind, "_results_timeout_s", 0)
        return found
    for name in ("submitit", "submitit.helpers"):
        monkeypatch.setitem(sys.modules, name, submitit_stand_in)
    return submitit_stand_in


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Jobs heed Ctrl-C, by which they are cancelled, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slurm(submitit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with SLURM's commands, first on the path, and the states of its jobs."""
    commands, states = tmp_path / "bin", tmp_path / "states"
    commands.mkdir()
    states.mkdir()
    for name, script in FAKE_SLURM.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STATES", str(states))
    return states


def executor(tmp_path: Path, cluster: str = "local", **given: Any) -> Submitted:
    params = ExecutorParams(kind="submitit", cluster=cluster, submitit={"timeout_min": 2} | given)
    return Submitted(params, 2, tmp_path / "jobs")


def place(tmp_path: Path, name: str = "a") -> Path:
    folder = tmp_path / "root/front" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.yml").write_text("run: {}")
    return folder


def until(true: Callable[[], Any]) -> None:
    """Wait for something to become true, as long as a slow machine may need."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never became true")


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_a_job_s_exit_code_is_a_future_s_result_and_its_words_are_the_run_s(
    submitit: ModuleType, tmp_path: Path, cluster: str
) -> None:
    good, bad = place(tmp_path, "good"), place(tmp_path, "bad")
    with executor(tmp_path, cluster) as jobs:
        futures = [
            jobs.submit(
                ["-c", "import os; print(os.environ['OMP_NUM_THREADS'], os.getcwd())"],
                good / "run.log",
                tmp_path,
            ),
            jobs.submit(["-c", "raise SystemExit(3)"], bad / "run.log", tmp_path),
        ]
        assert [future.result() for future in futures] == [0, 3]
    assert (good / "run.log").read_text().split() == ["1", str(tmp_path)]
    known = read_record(good)
    assert known is not None
    assert Path(known.log).parent == tmp_path / "jobs"


@pytest.mark.slow
def test_a_job_that_is_killed_costs_its_own_point_and_is_named_with_its_log(
    submitit: ModuleType, tmp_path: Path
) -> None:
    lost, other = place(tmp_path, "lost"), place(tmp_path, "other")
    killing = "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)"
    with executor(tmp_path) as jobs:
        first = jobs.submit(["-c", killing], lost / "run.log", tmp_path)
        second = jobs.submit(["-c", "pass"], other / "run.log", tmp_path)
        with pytest.raises(LostRunError, match="ended without a result") as told:
            first.result()
        assert second.result() == 0
    known = read_record(lost)
    assert known is not None
    assert f"local job {known.job_id}, log {known.log}" in str(told.value)
    found = {one.name: one for one in sweep_status(tmp_path / "root")}
    assert (found["front/lost"].state, found["front/lost"].job) == ("failed", str(known))
    assert found["front/lost"].told.startswith("ended without a result")


@pytest.mark.slow
def test_a_sweep_that_is_stopped_cancels_its_jobs(submitit: ModuleType, tmp_path: Path) -> None:
    folder = place(tmp_path)
    command = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt), executor(tmp_path) as jobs:
        jobs.submit(["-c", command], folder / "run.log", tmp_path)
        until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
        raise KeyboardInterrupt
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in state(pid))


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.slow
def test_a_job_begins_once_nobody_else_runs_in_its_folder(
    submitit: ModuleType, tmp_path: Path
) -> None:
    """A sweep that was killed leaves its jobs behind, and the next one's come upon them."""
    folder = place(tmp_path)
    with executor(tmp_path) as jobs:
        with held(folder):
            code = "import time; print(time.time())"
            begun = jobs.submit(["-c", code], folder / "run.log", tmp_path)
            until(lambda: read_record(folder))
            time.sleep(1.0)
            free = time.time()
        assert begun.result() == 0
    assert float((folder / "run.log").read_text()) >= free


@pytest.mark.slow
def test_a_sweep_that_was_killed_finds_its_jobs_in_the_queue(slurm: Path, tmp_path: Path) -> None:
    folder = place(tmp_path)
    command = ["-c", "import time; open('began', 'a').write('x'); time.sleep(4)"]
    killed = executor(tmp_path, "slurm")
    killed.submit(command, folder / "run.log", tmp_path)
    until(lambda: (tmp_path / "began").is_file() and read_record(folder))
    first = read_record(folder)
    with executor(tmp_path, "slurm") as jobs:
        assert jobs.submit(command, folder / "run.log", tmp_path).result() == 0
    assert read_record(folder) == first
    assert (tmp_path / "began").read_text() == "x"
    killed._threads.shutdown()


@pytest.mark.slow
def test_a_job_in_the_queue_that_has_other_parameters_is_cancelled(
    slurm: Path, tmp_path: Path
) -> None:
    folder = place(tmp_path)
    killed = executor(tmp_path, "slurm")
    slow = ["-c", "import time; open('began', 'a').write('x'); time.sleep(60)"]
    killed.submit(slow, folder / "run.log", tmp_path)
    until(lambda: (tmp_path / "began").is_file() and read_record(folder))
    (folder / "run.yml").write_text("run: {params: {}}")
    with executor(tmp_path, "slurm") as jobs:
        quick = jobs.submit(["-c", "print(1)"], folder / "run.log", tmp_path)
        assert quick.result() == 0
    assert (folder / "run.log").read_text() == "1\n"
    killed._ended.set()
    killed._threads.shutdown()


def test_a_job_that_the_cluster_does_not_take_costs_its_own_point(
    submitit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise RuntimeError("sbatch: error: invalid partition specified: gpux\n")

    with executor(tmp_path) as jobs:
        monkeypatch.setattr(jobs._executor, "submit", refused)
        future = jobs.submit(["-c", "pass"], place(tmp_path) / "run.log", tmp_path)
        with pytest.raises(LostRunError, match="did not take the job: sbatch: error: invalid part"):
            future.result()


def test_a_job_does_the_same_until_its_parameters_or_what_it_was_given_change(
    tmp_path: Path,
) -> None:
    folder = place(tmp_path)
    shared = folder / "03_primary/.responses.fingerprint.json"
    shared.parent.mkdir()
    shared.write_text("{}")
    record = JobRecord("slurm", "1", "log", given_to(folder))
    record.write(folder)
    (folder / "03_primary/.made.fingerprint.json").write_text("by the job itself")
    assert read_record(folder) == record
    assert record.still_given(folder)
    shared.write_text('{"fingerprint": "other"}')
    assert not record.still_given(folder)
    shared.write_text("{}")
    (folder / "run.yml").write_text("run: {params: {}}")
    assert not record.still_given(folder)


def test_a_job_that_is_preempted_begins_anew_as_the_same_job(slurm: Path, tmp_path: Path) -> None:
    """Only submitit itself asks the callable for what is to be requeued, and SLURM to do it."""
    pytest.importorskip("submitit")
    if sys.modules["submitit"] is submitit_stand_in:
        pytest.skip("nothing is requeued by what stands in for submitit")
    folder = place(tmp_path)
    command = (
        "import time; from pathlib import Path; again = Path('began').exists(); Path('began').touch()\n"
        "print('again', again, flush=True); time.sleep(0 if again else 60)"
    )
    with executor(tmp_path, "slurm") as jobs:
        future = jobs.submit(["-c", command], folder / "run.log", tmp_path)
        until(lambda: (folder / "run.log").is_file() and (folder / "run.log").read_text())
        [task] = slurm.glob("*.task")
        os.kill(int(task.read_text()), signal.SIGUSR2)
        assert future.result() == 0
    assert (folder / "run.log").read_text() == "again True\n"
    assert len(list(slurm.glob("*.pid"))) == 1


def test_what_is_requeued_is_the_same_command(submitit: ModuleType) -> None:
    run, given = job.RunCommand(), (["-c", "pass"], "log", "folder", 1)
    asked = run.checkpoint(*given)
    helpers = importlib.import_module("submitit.helpers")
    assert isinstance(asked, helpers.DelayedSubmission)
    assert (asked.function, asked.args) == (run, given)


@pytest.mark.slow
def test_a_job_that_is_told_to_exit_ends_its_command_first(tmp_path: Path) -> None:
    code = (
        "import signal, sys; from mopo_pipeline.fronts.executors.job import RunCommand\n"
        "signal.signal(signal.SIGUSR2, lambda *_: sys.exit(9))\n"
        "child = \"import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)\"\n"
        "RunCommand()(['-c', child], sys.argv[1] + '/run.log', sys.argv[1], 1)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    running.send_signal(signal.SIGUSR2)
    assert running.wait(60) == 9
    assert state(int((tmp_path / "pid").read_text())) == "Z"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"cluster": "slurm", "submitit": {"timeout_min": 5}},
            "no sbatch, srun, sacct, scancel: start the sweep on a login node",
        ),
        ({"cluster": "local"}, "no timeout_min"),
        (
            {"cluster": "local", "submitit": {"timeout_min": 5, "slrum_partition": "gpu"}},
            "slrum_partition",
        ),
        (
            {"cluster": "local", "submitit": {"timeout_min": "long"}},
            'Parameter "timeout_min" expected type',
        ),
        (
            {"cluster": "local", "submitit": {"timeout_min": 5, "slrum_max_num_timeout": 5}},
            "slrum_max_num_timeout",
        ),
    ],
)
def test_what_could_not_serve_is_one_line(
    submitit: ModuleType, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(choose.shutil, "which", lambda name: None)
    with pytest.raises(InputError) as told:
        choose.check_executor(ExecutorParams(kind="submitit", **given))
    assert said in str(told.value)
    assert "front.executor." in str(told.value)
    assert "\n" not in str(told.value)


def test_a_sweep_without_submitit_is_refused_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import click

    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    hook, front = ExecutorHook(), {"executor": {"kind": "submitit"}}
    hook.after_context_created(SimpleNamespace(config_loader={"parameters": {"front": front}}))
    whole = register_pipelines()["front"]
    with (
        click.Context(click.Command("run")),
        pytest.raises(UsersError, match="pip install") as told,
    ):
        hook.before_pipeline_run(whole)
    assert told.value.exit_code == 2
    hook.before_pipeline_run(whole.only_nodes("front.plan_points"))


def test_a_rival_whose_library_is_missing_is_refused_before_any_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import click

    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    whole = register_pipelines()["front"]

    def check(*methods: str) -> None:
        hook, front = ExecutorHook(), {"methods": list(methods)}
        hook.after_context_created(SimpleNamespace(config_loader={"parameters": {"front": front}}))
        hook.before_pipeline_run(whole)

    check("reference", "best_of_n")
    with (
        click.Context(click.Command("run")),
        pytest.raises(UsersError, match="rival raco needs trl"),
    ):
        check("reference", "raco")


def test_a_record_that_is_half_written_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / JOB).write_text('{"cluster": "slu')
    assert read_record(tmp_path) is None
    (tmp_path / JOB).write_text(json.dumps({"cluster": "slurm"}))
    assert read_record(tmp_path) is None
