"""A command that a run tells is typed as it stands."""

import shlex
import subprocess
from typing import Any

import click
import pytest

from mopo_pipeline.cli import run
from mopo_pipeline.hooks.command import BEGINS, LIMITS, again
from mopo_pipeline.reporting.verdict import joined


@pytest.mark.parametrize(
    "given",
    [
        {"data_root": "my runs", "plan": {"tau": 0.2}, "train": {"policy": None}},
        {
            "task": {
                "objectives": [{"name": "help"}, {"name": "harm", "threshold": {"position": 0.4}}]
            }
        },
        {"front": {"methods": ["reference", "best_of_n"], "seeds": []}},
        {"ingest": {"path": "o'neill, [raw].jsonl"}, "report": {"title": "1.0"}},
        {"data_root": 'my "data", $HOME `x`; y=1', "plan": {"tau": 0.2}},
        {"report": {"title": "a: b"}, "evaluate": {"judges": {"own": ["a:B", 'say "no", c']}}},
        {"front": {"variants": {"plain": {"plan.confidence": 0.5, "train.lag": {"mode": "none"}}}}},
        {"ablation": {"sweeps": {"tau": {"plan.tau": [0.1, 1.0]}}}, "train": {"lag": {}}},
    ],
    ids=[
        "scalars",
        "tables in a list",
        "lists",
        "odd texts",
        "a shell's own",
        "colons and quotes",
        "variants",
        "sweeps",
    ],
)
def test_a_command_that_is_told_has_the_parameters_of_the_run(given: dict[str, Any]) -> None:
    told = again({"env": "test", "runtime_params": given}, pipelines=True)
    for command in (told, joined(told, ("--pipelines=explore",))):
        words = spoken(command)
        assert words == shlex.split(command)
        assert run.make_context("run", words[2:]).params["params"] == given


def spoken(command: str) -> list[str]:
    """A command's words as a POSIX shell takes them."""
    said = f"set -- {command}; for word; do printf '%s\\0' \"$word\"; done"
    found = subprocess.run(["sh", "-c", said], capture_output=True, text=True, check=True)
    return found.stdout.split("\0")[:-1]


def test_a_command_that_is_told_chooses_the_parts_of_the_run() -> None:
    chosen: dict[str, Any] = {
        "tags": ["plan"], "node_names": ["plan.plan_training"], "to_nodes": ["train.train_policy"],
        "to_outputs": ["report"], "namespaces": ["plan", "train"], "from_nodes": ["a.b"], "from_inputs": ["win_rates"],
    }  # fmt: skip
    words = shlex.split(again(chosen, pipelines=True, parts=BEGINS | LIMITS))
    read = run.make_context("run", words[2:]).params
    assert {name: list(read[name]) for name in chosen} == chosen


@pytest.mark.parametrize("part", ["plan.tau", "=0.2"])
def test_a_parameter_without_a_name_or_a_value_is_told(part: str) -> None:
    with pytest.raises(click.UsageError, match=f"'{part}' is no name=value"):
        run.make_context("run", [f"--params=data_root=x,{part}"])


@pytest.mark.parametrize("value", ["[reference", "{a: 1", '"x', "{plan.tau:[1]}", "${a"])
def test_a_value_that_is_cut_short_is_told_with_its_parameter(value: str) -> None:
    with pytest.raises(click.UsageError, match=r"is no value of front\.methods: brackets"):
        run.make_context("run", [f"--params=data_root=x,front.methods={value}"])
