"""Every command of README and guide is one that this project understands; none is run."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from pages import BESIDE, COMMAND, READ, blocks, code, commands

from conftest import PROJECT
from mopo_pipeline.cli import run
from mopo_pipeline.errors import InputError

OWN = "mine"
"""The name the pages give to an environment of the reader's own."""

PLACEHOLDER = re.compile(r"=(…|path/or/hub-id|org/model(#\d)?|F)(?=,|$)")
COMMANDS = sorted(
    {(page, said) for page in (*READ, *BESIDE) for said in commands(page) if "<" not in said}
)


def name(value: Any) -> str:
    return value.name if isinstance(value, Path) else str(value)[:70]


@cache
def project() -> None:
    bootstrap_project(PROJECT)


def parsed(command: str) -> dict[str, Any]:
    """What Kedro makes of a command's options.

    Raises:
        click.UsageError: an unknown option or a value it cannot read.
    """
    project()
    arguments = shlex.split(command)[2:]
    return dict(run.make_context("run", arguments).params)


def pipeline_of(options: dict[str, Any]) -> Pipeline:
    """The nodes a command would run.

    Raises:
        KeyError: no pipeline of that name.
        ValueError: no such node, tag or namespace.
    """
    names = options["pipelines"] or [options.get("pipeline") or "__default__"]
    chosen = sum((pipelines[one] for one in names), Pipeline([]))
    return chosen.filter(
        tags=options["tags"] or None,
        from_nodes=options["from_nodes"] or None,
        to_nodes=options["to_nodes"] or None,
        node_names=options["node_names"] or None,
        from_inputs=options["from_inputs"] or None,
        to_outputs=options["to_outputs"] or None,
        node_namespaces=options["namespaces"] or None,
    )


def load_parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a command, validated as a run would validate them.

    Raises:
        InputError: an unknown parameter or a value out of range.
    """
    environment = None if options["env"] == OWN else options["env"]
    with KedroSession.create(PROJECT, env=environment, runtime_params=options["params"]) as session:
        return dict(session.load_context().params)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=name)
def test_a_command_of_the_pages_names_pipelines_nodes_and_parameters_that_exist(
    page: Path, command: str
) -> None:
    options = parsed(PLACEHOLDER.sub("=placeholder", command))
    assert pipeline_of(options).nodes
    environment = options["env"]
    assert environment in (None, OWN) or (PROJECT / "conf" / environment).is_dir(), environment
    load_parameters(options)


IN_A_ROW = [
    *(
        (page, block)
        for page in READ
        for block in blocks(page, "bash")
        if block.count("kedro run") > 1
    ),
    *((page, "\n".join(blocks(page, "bash"))) for page in READ if page.stem == "other_trainers"),
]
"""Commands that are typed one after the other."""

GROWS = {"looks"}
"""Kept from run to run; there from the first on."""


@pytest.mark.parametrize(("page", "block"), IN_A_ROW, ids=name)
def test_commands_in_a_row_make_what_the_next_ones_take(page: Path, block: str) -> None:
    project()
    there: set[str] = set()
    for number, command in enumerate(COMMAND.findall(block.replace("\\\n", " "))):
        made = pipeline_of(parsed(PLACEHOLDER.sub("=placeholder", command.split("  #")[0])))
        taken = {one for one in made.inputs() if not one.startswith("params:")} - GROWS
        assert number == 0 or taken <= there, (command, taken - there)
        there |= taken | made.all_outputs()


def test_commands_are_found_in_prose_blocks_and_comments() -> None:
    found = [command for _, command in COMMANDS]
    assert len(found) >= 20
    assert any("env=mine" in command for command in found)
    assert "kedro run --env=summarize --params=ingest.path=/your/axis.jsonl" in found
    assert "kedro run --pipelines=ablation" in found  # a colon of the sentence is no part of it
    assert any("sbatch" in command or "data_root=/shared" in command for command in found)


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ("kedro run --pipelines=fronts", KeyError, "fronts"),
        ("kedro run --from-nodes=plan.make_plan", ValueError, "plan.make_plan"),
        ("kedro run --tags=trane", ValueError, "no nodes"),
        ("kedro run --params=plan.threshold.harmless=0.5", InputError, "plan.thresholds"),
        ("kedro run --params=plan.tau=-1", InputError, "plan.tau is -1"),
        ("kedro run --pipeline-name=plan", click.UsageError, "pipeline-name"),
    ],
)
def test_a_command_that_names_what_does_not_exist_is_found(
    command: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as found:
        options = parsed(command)
        pipeline_of(options)
        load_parameters(options)
    assert said in str(found.value)


PLUGINS = {"viz": "kedro_viz", "airflow": "kedro_airflow"}
"""Groups of commands that a package brings which not everyone has."""

SUBCOMMANDS = re.compile(r"\bkedro (?!run\b)([a-z]+)(?: ([a-z][a-z-]+))?(?=[ `\n])")


def other_commands() -> set[tuple[str, str]]:
    """What the pages call beside ``kedro run``, in code between backticks and in blocks."""
    return {
        found for page in READ for text in code(page) for found in SUBCOMMANDS.findall(f"{text} ")
    }


def test_every_other_command_of_the_pages_is_one_that_kedro_has() -> None:
    project()
    tree, context = KedroCLI(project_path=PROJECT), click.Context(click.Command("kedro"))
    named = other_commands()
    assert {("catalog", "describe-datasets"), ("jupyter", "lab"), ("viz", "run")} <= named
    for group, name in sorted(named):
        if group in PLUGINS and find_spec(PLUGINS[group]) is None:
            continue
        command = tree.get_command(context, group)
        assert command is not None, group
        if isinstance(command, click.Group):
            assert command.get_command(context, name) is not None, f"kedro {group} {name}"


TARGETS = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), flags=re.M))


def made() -> Iterator[tuple[Path, str]]:
    for page in (*READ, *BESIDE):
        for text in code(page):
            for target in re.findall(r"^make ([a-z][\w-]*)", text, flags=re.M):
                yield page, target


@pytest.mark.parametrize(("page", "target"), sorted(set(made())), ids=name)
def test_a_make_target_of_the_pages_exists(page: Path, target: str) -> None:
    assert target in TARGETS
