"""What cannot be run is one line that says so: no environment, pipeline, part or place of that name."""

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.startup import bootstrap_project

from conftest import PROJECT, refused
from mopo_pipeline.cli import check_files
from mopo_pipeline.hooks.command import ENDS, again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "--env=mien",
            "no environment 'mien'; there are beavertails, helpsteer, helpsteer3, hh_rlhf, local, multipref, reddit_summary, safe_rlhf",
        ),
        ("--env=tset", "no environment 'tset', did you mean 'test'?"),
        ("--pipelines=trian", "no pipeline 'trian', did you mean 'train'?"),
        ("--pipeline=trian", "no pipeline 'trian', did you mean 'train'?"),
        ("--tags=trane", "no tag 'trane', did you mean 'train'?"),
        (
            "--tags=zzz",
            "no tag 'zzz'; there are evaluate, ingest, plan, preferences, reference, report, thresholds, train",
        ),
        (
            "--to-nodes=plan",
            "plan is a stage, not a node: --namespaces=plan, or one of its nodes, plan.for",
        ),
        ("--from-nodes=train.train_polcy", "did you mean 'train.train_policy'?"),
        ("--nodes=ingest_source", "did you mean 'ingest.ingest_source'?"),
        ("--namespaces=evalute", "no stage 'evalute', did you mean 'evaluate'?"),
        ("--to-outputs=polic", "no dataset 'polic', did you mean 'policy'?"),
        ("--runner=Sequential", "no runner 'Sequential', did you mean 'SequentialRunner'?"),
        ("--runner=ParallelRunner", "--runner=ParallelRunner: nodes run one after another"),
        ("--runner=kedro.runner.ThreadRunner", "nodes run one after another"),
    ],
)
@pytest.mark.filterwarnings("ignore:Option '--pipeline' is deprecated")
def test_a_name_that_is_not_there_is_told_with_the_nearest(
    option: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in refused(option, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("registry describe trian", "no pipeline 'trian', did you mean 'train'?"),
        ("catalog describe-datasets --env=tset", "no environment 'tset', did you mean 'test'?"),
        ("catalog resolve-patterns --pipeline=trian", "no pipeline 'trian', did you mean 'train'?"),
    ],
)
def test_commands_that_only_look_tell_a_name_that_is_not_there_too(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Kedro's own they end with a traceback, with 'NoneType: None', or with nothing at all."""
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(KedroCLI(project_path=PROJECT), words.split())
    assert result.exit_code == 2, result.output
    assert f"Error: {said}" in result.output


@pytest.mark.slow
def test_the_catalog_says_what_each_artifact_is_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kedro's own command lists names below the classes that store them."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("COLUMNS", "120")
    bootstrap_project(PROJECT)
    words = ["catalog", "describe-datasets", "-p", "ingest"]
    result = CliRunner().invoke(KedroCLI(project_path=PROJECT), words)
    assert result.exit_code == 0, result.output
    assert "judgements: a row per judgement of a pair, as the source gives it" in result.output
    assert str(Path("data/03_primary/responses.parquet")) in result.output
    assert "policy" not in result.output


@pytest.mark.slow
def test_parts_that_exclude_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused("--tags=train", "--namespaces=plan", "--env=test", monkeypatch=monkeypatch)
    assert "no node is left" in said


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_named_with_the_parameter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "root"
    given = ["--env=test", f"--params=data_root={place}"]
    said = refused(*given, monkeypatch=monkeypatch)
    assert f"data_root {place} cannot be written" in said
    assert "--params=data_root=" in said


def test_a_mistake_is_told_from_a_folder_below_the_project_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refused("--env=tset", monkeypatch=monkeypatch, folder=PROJECT / "docs")
    assert "did you mean 'test'?" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "cut"), [("ingest.path=/my data,x=1.jsonl", True), ("plna.tau=0.1", False)]
)
def test_a_value_that_is_cut_at_its_comma_is_told_where_it_can_stand(
    option: str, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused("--env=test", f"--params={option}", monkeypatch=monkeypatch)
    assert "unknown parameter" in said
    assert ("--params is cut at commas" in said) == cut


@pytest.mark.parametrize(
    "record",
    [
        {"env": None, "runtime_params": None, "pipeline_names": None},
        {
            "env": "mine",
            "runtime_params": {"plan": {"thresholds": {"b": 0.5}}, "data_root": "my runs"},
            "pipeline_names": ["train"],
        },
        {
            "env": "x",
            "runtime_params": {"train": {"lora": None}, "reference": {"train": False}},
            "pipeline_names": [],
        },
    ],
)
def test_the_command_to_go_on_with_says_what_the_run_was_given(record: dict[str, Any]) -> None:
    words = shlex.split(again(record, "--from-nodes=a.b", pipelines=True))
    assert words[:3] == ["kedro", "run", "--from-nodes=a.b"]
    assert (f"--env={record['env']}" in words) == (record["env"] is not None)
    assert ("--pipelines=train" in words) == bool(record["pipeline_names"])
    flat = {
        "mine": "--params=plan.thresholds.b=0.5,data_root=my runs",
        "x": "--params=train.lora=null,reference.train=false",
    }
    assert [w for w in words if w.startswith("--params")] == [
        flat[e] for e in flat if e == record["env"]
    ]


def test_the_command_to_go_on_with_ends_where_the_run_was_to_end() -> None:
    """Else a run that was to stop at its plan would be followed by hours of training."""
    record = {
        "to_nodes": ["plan.print_plan"],
        "to_outputs": ["plan_table", "win_rates"],
        "runtime_params": {},
    }
    words = shlex.split(again(record, "--from-nodes=a.b", pipelines=True, parts=ENDS))
    assert words[3:] == ["--to-nodes=plan.print_plan", "--to-outputs=plan_table,win_rates"]
    assert shlex.split(again(record, "--from-nodes=a.b", pipelines=False))[3:] == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["params.yml"], "params.yml is not read: name it parameters.yml"),
        (["parameter.yaml"], "parameter.yaml is not read: name it parameters.yml"),
        (["Parameters.yml"], "Parameters.yml is not read: name it parameters.yml"),
        (["parameters.yml.txt"], "parameters.yml.txt is not read: name it parameters.yml"),
        (["parameters.yml", "global.yml"], "global.yml is not read: name it globals.yml"),
        (["mine.yml"], "mine.yml is not read: parameters stand in parameters.yml"),
        (
            [],
            "mine holds nothing that is read: write what differs from conf/base to a parameters.yml",
        ),
    ],
)
def test_a_file_of_an_environment_that_is_not_read_is_named_with_what_to_call_it(
    files: list[str], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    with pytest.raises(click.UsageError, match=said):
        check_files(folder, needed=True)


def test_files_that_are_read_and_those_of_others_are_let_be(tmp_path: Path) -> None:
    for name in ("parameters_task.yml", "globals.yml", "mlflow.yml", "notes.txt", ".hidden.yml"):
        (tmp_path / name).touch()
    check_files(tmp_path, needed=True)
    check_files(tmp_path / "local", needed=False)
    for environment in sorted((PROJECT / "conf").iterdir()):
        needed = environment.name not in {"accelerate", "local"}
        if environment.is_dir() and environment.name != "accelerate":
            check_files(environment, needed=needed)
