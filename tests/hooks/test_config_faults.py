"""A configuration that cannot be used is one line with its file, whatever Kedro's loader makes of it."""

from pathlib import Path
from typing import Any

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks import EnvironmentConfigLoader
from mopo_pipeline.settings import CONFIG_LOADER_ARGS

BASE = "task:\n  objectives:\n    - name: good\nplan:\n  tau: 0.1\n  thresholds: {}\n"


def refused(tmp_path: Path, text: str, **given: Any) -> str:
    """The one line about an environment's parameters and parameters of the command line."""
    for folder, content in (("base", BASE), ("mine", text)):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "parameters.yml").write_text(content, encoding="utf-8")
    (tmp_path / "base/globals.yml").write_text("data_root: data\n")
    loader = EnvironmentConfigLoader(
        str(tmp_path), env="mine", runtime_params=given, **CONFIG_LOADER_ARGS
    )
    with pytest.raises(InputError) as caught:
        loader["parameters"]
    said = str(caught.value)
    assert "\n" not in said
    return said.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plan:\n\ttau: 0.1\n", "/mine/parameters.yml: line 2, column 1: found character"),
        ("plan:\n\ttau: 0.1\n", "indent with spaces, not with a tab"),
        (
            "plan:\n  tau: 0.1\n  tau: 0.2\n",
            "/mine/parameters.yml: line 3, column 3: found duplicate key tau",
        ),
        ("plan: {tau: 0.1\n", "/mine/parameters.yml: line 2, column 1: "),
        ("- plan\n- task\n", "/mine/parameters.yml: holds no names with values"),
        (
            "task: {objectives: {good: null, safe: 0.4}}\n",
            "/mine/parameters.yml: task.objectives is a table of names and values, but a list in /base/parameters.yml",
        ),
        ("plan: {tau: '${globals:nothing}'}\n", "nothing"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_two_files_that_say_the_same_key_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/parameters_plan.yml").write_text("plan: {tau: 0.2}\n")
    said = refused(tmp_path, "plan: {tau: 0.3}\n")
    assert "parameters_plan.yml" in said
    assert "plan.tau" in said


def test_a_part_of_a_list_on_the_command_line_is_answered_with_what_sets_thresholds(
    tmp_path: Path,
) -> None:
    said = refused(tmp_path, "", task={"objectives": {"1": {"threshold": 0.3}}})
    assert (
        "task.objectives is a list in /base/parameters.yml, of which --params can set no part"
        in said
    )
    assert "plan.thresholds.<name>" in said


def test_what_can_be_used_is_merged_as_before(tmp_path: Path) -> None:
    for folder, content in (
        ("base", BASE),
        ("mine", "plan: {thresholds: {safe: {position: 0.5}}}\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "parameters.yml").write_text(content)
    (tmp_path / "base/globals.yml").write_text("data_root: data\n")
    given = {"plan": {"thresholds": {"safe": 0.4}}}
    loader = EnvironmentConfigLoader(
        str(tmp_path), env="mine", runtime_params=given, **CONFIG_LOADER_ARGS
    )
    assert loader["parameters"]["plan"] == {"tau": 0.1, "thresholds": {"safe": 0.4}}
