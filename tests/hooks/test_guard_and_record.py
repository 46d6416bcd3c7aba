"""Parameters are checked before any node; every run leaves a record of how it ended."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import click
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from mopo_pipeline.disk import DiskFullError
from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks import ParameterGuardHook
from mopo_pipeline.hooks.contents import SMALL, Contents
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.hooks.provenance import trace
from mopo_pipeline.hooks.runs import close_abandoned
from mopo_pipeline.memory import MemoryExhaustedError
from mopo_pipeline.parameters.by_model import laid_over
from mopo_pipeline.pipeline_registry import register_pipelines
from parameters.test_by_model import base


def test_outside_of_the_command_line_an_error_stays_itself() -> None:
    error = InputError("row 3: no label")
    assert one_line(error) is error
    with click.Context(click.Command("run")):
        shown = one_line(error)
    assert isinstance(shown, click.ClickException)
    assert shown.message == "row 3: no label"


class Loader(dict[str, Any]):
    """A configuration loader that was given nothing on the command line."""

    runtime_params: ClassVar[dict[str, Any]] = {}


def test_a_mistyped_parameter_is_refused_once_the_context_stands() -> None:
    raw = {"data_root": "data", "evaluate": {"bootstrep": 50}}
    context = SimpleNamespace(config_loader=Loader(parameters=raw))
    with pytest.raises(InputError, match=r"did you mean 'evaluate\.bootstrap'"):
        ParameterGuardHook().after_context_created(context)


@pytest.mark.parametrize(
    ("pipeline", "own", "message"),
    [
        (
            "front",
            {"front": {"variants": {"v": {"plan.taau": 1}}}},
            r"front\.variants\.v: .*'plan\.tau'",
        ),
        ("front", {"front": {"variants": {"v": {"plan.tau": 1}}}}, None),
        (
            "front",
            {"front": {"tuning": {"train.fit.learning_rate": [0.1, -1]}}},
            r"front\.tuning/train\.fit\.learning_rate=-1: .*greater than 0",
        ),
        (
            "ablation",
            {"ablation": {"sweeps": {"x": {"train.lag": [{"mode": "nono"}]}}}},
            r"sweeps\.x/.*nono",
        ),
        ("ablation", {"front": {"variants": {"v": {"plan.taau": 1}}}}, None),
    ],
)
def test_what_the_runs_of_a_sweep_change_is_checked_before_any_of_them(
    tmp_path: Path, pipeline: str, own: dict[str, Any], message: str | None
) -> None:
    given = Loader(parameters=laid_over(base(), own), globals={"data_root": "data"})
    hook, whole = ParameterGuardHook(), register_pipelines()[pipeline]
    hook.after_context_created(SimpleNamespace(config_loader=given, project_path=tmp_path))
    with nullcontext() if message is None else pytest.raises(InputError, match=message):
        hook.before_pipeline_run(whole)
    hook.before_pipeline_run(whole.only_nodes_with_namespaces(["plan"]))


def chain() -> Pipeline:
    """``first`` reads one group and makes what ``second`` reads with another."""
    return Pipeline(
        [
            Node(lambda p: p, "params:evaluate", "made", name="first"),
            Node(lambda m, p: m, ["made", "params:report"], "shown", name="second"),
        ]
    )


def fingerprints(folder: Path, **changes: Any) -> dict[str, str]:
    parameters = {"evaluate": {"bootstrap": 50}, "report": {"title": "a"}} | changes
    return {
        name: made.fingerprint
        for name, made in trace(chain().nodes, parameters, Contents(folder / "memo")).items()
    }


def test_a_parameter_changes_what_it_makes_and_what_follows_and_nothing_before(
    tmp_path: Path,
) -> None:
    plain = fingerprints(tmp_path)
    assert plain == fingerprints(tmp_path)
    early = fingerprints(tmp_path, evaluate={"bootstrap": 60})
    assert early["made"] != plain["made"]
    assert early["shown"] != plain["shown"]
    late = fingerprints(tmp_path, report={"title": "b"})
    assert late["made"] == plain["made"]
    assert late["shown"] != plain["shown"]


def test_a_run_is_recorded_while_it_runs_and_once_it_failed(tmp_path: Path) -> None:
    from mopo_pipeline.hooks import RunLogHook

    hook = RunLogHook()
    hook._folder = tmp_path
    nodes = chain().nodes
    hook.before_pipeline_run(
        {"run_id": "2026-11-25T10:00:00", "env": "mine", "pipeline_names": ["evaluate"]},
        chain(),
        DataCatalog(),
    )
    [file] = tmp_path.iterdir()
    assert json.loads(file.read_text())["status"] == "running"
    hook.before_node_run(nodes[0], {})
    hook.after_node_run(nodes[0])
    hook.on_pipeline_error(ValueError("no room"))
    record = json.loads(file.read_text())
    assert (record["status"], record["error"], record["environment"]) == (
        "failed",
        "no room",
        "mine",
    )
    assert record["finished_nodes"] == ["first"]
    assert record["nodes"] == ["first", "second"]


def begun(folder: Path, trained: str | None = None) -> Any:
    """The record of a run of ``chain`` that was started with an environment and parameters, beside a policy ``trained`` before."""
    from mopo_pipeline.hooks import RunLogHook

    hook = RunLogHook()
    hook._folder = folder
    given = {"plan": {"tau": 0.2}, "data_root": "x"}
    hook.before_pipeline_run(
        {
            "run_id": "2026-11-25T10:00:00",
            "env": "mine",
            "pipeline_names": ["evaluate"],
            "runtime_params": given,
        },
        chain(),
        DataCatalog() if trained is None else DataCatalog({"policy": MemoryDataset(trained)}),
    )
    return hook


def test_a_node_of_the_report_is_told_the_stages_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mopo_pipeline.parameters.report import ReportParams

    monkeypatch.setattr("mopo_pipeline.hooks.runs.run_facts", lambda *_: None)
    for trained in (None, "a policy"):
        hook = begun(tmp_path, trained)
        hook._record["nodes"] = ["plan.plan_training", "plan.print_plan", "train.train_policy"]
        told = hook.before_node_run(chain().nodes[0], {"params:report": ReportParams()})
        hook._interruption.forget()
        assert told["params:report"].stages == ("plan", "train")
        assert told["params:report"].trained is (trained is not None)


AGAIN = (
    "`kedro run --from-nodes={} --env=mine --pipelines=evaluate --params=plan.tau=0.2,data_root=x`"
)


def test_an_interrupted_run_says_how_to_go_on_in_one_line_with_its_own_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    hook = begun(tmp_path)
    hook._interrupted("SIGTERM")
    hook._interruption.forget()
    [line] = capsys.readouterr().err.splitlines()
    assert f"interrupted (SIGTERM): go on with {AGAIN.format('first')}" in line
    record = json.loads(next(tmp_path.iterdir()).read_text())
    assert (record["status"], record["signal"]) == ("interrupted", "SIGTERM")


def test_an_interrupted_run_goes_on_no_further_than_it_was_to_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = begun(tmp_path)
    hook._run |= {"to_nodes": ["second"], "tags": (), "namespaces": None, "from_nodes": ["first"]}
    hook._interrupted("SIGTERM")
    hook._interruption.forget()
    said = capsys.readouterr().err
    assert "--from-nodes=first --env=mine --pipelines=evaluate --to-nodes=second --params=" in said
    assert "--from-nodes=first --to-nodes=second" in hook._same().replace(
        " --env=mine --pipelines=evaluate", ""
    )


def test_a_run_that_failed_halfway_says_how_to_go_on_and_one_that_did_nothing_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook, [first, _] = begun(tmp_path / "a"), chain().nodes
    with pytest.raises(InputError):
        hook.on_pipeline_error(InputError("no room"))
    assert "go on" not in capsys.readouterr().err
    hook = begun(tmp_path / "b")
    hook.before_node_run(first, {})
    hook.after_node_run(first)
    hook.after_dataset_saved("made")
    with pytest.raises(InputError):
        hook.on_pipeline_error(InputError("no room"))
    assert AGAIN.format("second") in capsys.readouterr().err


def test_memory_that_did_not_suffice_is_one_line_with_the_stage_that_asked_for_it(
    tmp_path: Path,
) -> None:
    hook, node = begun(tmp_path), chain().nodes[0]
    named = Node(node.func, node.inputs, node.outputs, name="evaluate.sample_responses")
    hook.before_node_run(named, {})
    with pytest.raises(MemoryExhaustedError, match=r"^evaluate: .*evaluate\.batch_tokens"):
        hook.on_pipeline_error(MemoryError("Unable to allocate 9.31 GiB"))


FULL = OSError(28, "No space left on device")


def test_a_disk_that_is_full_is_one_line_with_the_folder_that_wants_room(tmp_path: Path) -> None:
    folder = tmp_path / "data/08_reporting/runs"
    hook, node = begun(folder), chain().nodes[0]
    hook.before_node_run(node, {})
    with pytest.raises(DiskFullError, match=rf"^first: no space left on .*{tmp_path}/data \("):
        hook.on_pipeline_error(FULL)


def test_a_run_that_cannot_be_recorded_ends_with_one_line_and_hears_signals_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def full(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("mopo_pipeline.hooks.runs.write_text", full)
    with pytest.raises(DiskFullError, match=f"{tmp_path}/data"):
        begun(tmp_path / "data/08_reporting/runs")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_record_that_cannot_be_closed_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.json").write_text('{"status": "running"}')

    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "write_text", full)
    close_abandoned(tmp_path)
    assert (tmp_path / "one.json").read_text() == '{"status": "running"}'


def test_a_memo_of_contents_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.bin").write_bytes(b"a" * (SMALL + 1))
    known = Contents(tmp_path / "memo.json").digest(tmp_path / "large.bin")

    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "write_text", full)
    memo = Contents(tmp_path / "other.json")
    assert memo.digest(tmp_path / "large.bin") == known


def test_a_node_that_only_prints_is_the_last_to_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = begun(tmp_path)
    quiet = Node(lambda made: None, "made", None, name="shows")
    with caplog.at_level("INFO"):
        for node in (chain().nodes[0], quiet):
            hook.before_node_run(node, {})
            hook.after_node_run(node)
    hook._interruption.forget()
    assert [record.message for record in caplog.records] == ["first (1 of 2)"]


def test_a_node_in_another_thread_or_process_is_refused_as_the_record_would_not_know_of_it(
    tmp_path: Path,
) -> None:
    """As Kedro's ``ThreadRunner`` and ``ParallelRunner`` would have it, whatever they are called."""
    hook, [first, _] = begun(tmp_path), chain().nodes
    hook._interruption.forget()
    with ThreadPoolExecutor(1) as threads, pytest.raises(InputError, match="leave out --runner"):
        threads.submit(hook.before_node_run, first, {}).result()
    child = os.fork()
    if child == 0:
        try:
            hook.before_node_run(first, {})
        except InputError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    hook.before_node_run(first, {})
