"""The task file for clouds names what is here: make's target, an environment, parameters that are taken, a data root that stays."""

import re
import shlex
from pathlib import PurePosixPath
from string import Template
from typing import Any

import yaml
from kedro.framework.cli.project import run
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from conftest import PROJECT

TASK: dict[str, Any] = yaml.safe_load((PROJECT / "skypilot.yaml").read_text(encoding="utf-8"))


def test_it_installs_by_a_target_of_make_that_brings_the_adapters_its_environment_has() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    [[make, target]] = [shlex.split(line) for line in TASK["setup"].splitlines()]
    assert make == "make"
    [recipe] = re.findall(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile, flags=re.M)
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env=TASK["envs"]["ENVIRONMENT"]) as session:
        assert session.load_context().params["train"].lora is not None
    assert " peft\n" in recipe


def test_its_run_is_one_that_kedro_takes_and_that_goes_on_where_it_was_cut_off() -> None:
    bootstrap_project(PROJECT)
    [line] = TASK["run"].splitlines()
    program, command, *arguments = shlex.split(Template(line).substitute(TASK["envs"]))
    assert (program, command) == (".venv/bin/kedro", "run")
    options = run.make_context("run", arguments).params
    assert options["only_missing_outputs"]
    assert (PROJECT / "conf" / options["env"]).is_dir()
    given = options["params"]
    with KedroSession.create(PROJECT, env=options["env"], runtime_params=given) as session:
        assert session.load_context().params["train"].fit.save_every == 50
    volumes = [PurePosixPath(place) for place in TASK["volumes"]]
    assert any(PurePosixPath(given["data_root"]).is_relative_to(place) for place in volumes)


def test_the_example_of_another_run_gives_variables_that_there_are() -> None:
    text = (PROJECT / "skypilot.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"--env \"?(\w+)=", text))
    assert named == {"DATA_ROOT", "PARAMS"} & TASK["envs"].keys()
