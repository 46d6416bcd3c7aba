"""Every command of README and guide is one that this project understands; none is run."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from pages import READ, commands

from conftest import PROJECT
from mopo_pipeline.cli import run
from mopo_pipeline.errors import InputError

OWN = "mine"
"""The name the pages give to an environment of the reader's own."""

PLACEHOLDER = re.compile(r"=(…|path/or/hub-id|org/model(#\d)?|F)(?=,|$)")
COMMANDS = sorted({(page, command) for page in READ for command in commands(page)})


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


def test_commands_are_found_in_prose_blocks_and_comments() -> None:
    found = [command for _, command in COMMANDS]
    assert len(found) >= 20
    assert any("env=mine" in command for command in found)
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


TARGETS = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), flags=re.M))


def made() -> Iterator[tuple[Path, str]]:
    for page in READ:
        for code in re.findall(r"`(make [a-z][^`]*)`", page.read_text(encoding="utf-8")):
            yield page, code.split()[1]


@pytest.mark.parametrize(("page", "target"), sorted(set(made())), ids=name)
def test_a_make_target_of_the_pages_exists(page: Path, target: str) -> None:
    assert target in TARGETS or "=" in target
