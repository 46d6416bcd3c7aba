"""What a person reads at the end of a plan and of a run, letter by letter, at 80 columns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts
from mopo_pipeline.reporting.plan_table import plan_table, print_plan_table
from mopo_pipeline.reporting.summary import closing_table, run_summary
from mopo_pipeline.reporting.verdict import joined, next_step

GOLDEN = Path(__file__).parent / "golden"
COMMAND = "kedro run --env=mine --params=data_root=x"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def shown(name: str, text: str) -> None:
    """Compare with the golden file of that name, trailing blanks aside."""
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(len(line) for line in lines if "next: " not in line) <= 80
    assert lines == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def summary(values: list[float], **changes: Any) -> dict[str, Any]:
    given = checked(estimate("preference_model", values))
    optimum = {"optimum": {"values": {"help": 0.61, "harm": 0.5, "short": 0.45}}}
    return run_summary(
        given,
        PLAN,
        facts(**changes),
        optimum,
        certificate(given),
        environment="mine",
        seed=3,
        seconds=12.0,
    )


CUT = {"name": "answers cut: policy", "value": 0.4, "limit": 0.05, "severity": "error",
       "remedy": "raise evaluate.sampling.max_new_tokens"}  # fmt: skip
ENDS = {
    "missed": summary([0.6, 0.486, 0.44]),
    "certified": summary([0.6, 0.52, 0.48]),
    "within_noise": summary([0.6, 0.505, 0.46]),
    "worthless": summary([0.6, 0.486, 0.46], findings=[CUT]),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_run_ends_with_its_table_what_it_means_and_one_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    closing_table(ENDS[name], "/runs/report.html", COMMAND)
    shown(f"run_{name}", capsys.readouterr().out)


def plan_of(names: list[str]) -> dict[str, Any]:
    plan = replace(
        PLAN,
        objectives=tuple(names),
        multipliers={"harm": 1.3, "short": 0.0},
        effective_comparisons={"harm": 128.4, "short": 240.0},
    )
    paths = [
        np.array([[0.5, 0.6], [0.6, 0.59], [0.65, 0.4]]),
        np.array([[0.45, 0.6], [0.5, 0.59], [0.6, 0.5]]),
    ]
    outlook = [
        {"objective": "harm", "half_width": 0.04},
        {"objective": "short", "half_width": 0.01},
    ]
    power = {"prompts": 40, "drawn": "test prompts", "outlook": outlook[: len(names) - 1]}
    return plan_table(plan, paths[: len(names) - 1], ["short"], power)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_plan_ends_with_its_table(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan_table(plan_of(NAMES[:size]), "kedro run --env=mine --only-missing-outputs")
    shown(f"plan_{size}", capsys.readouterr().out)


def test_twice_the_labels_bring_the_bound_nearer_by_a_root_of_two() -> None:
    row = plan_of(NAMES)["objectives"][1]
    assert row["bound_at_twice"] == pytest.approx(0.52 - 0.02 / np.sqrt(2))
    assert row["price"] == pytest.approx(0.013)
    assert (row["together"], row["knee"]) == (0.65, 0.6)


def test_a_plan_without_a_bound_says_none() -> None:
    bare = replace(PLAN, confidence=None, fixed_epsilon=None)
    paths = [np.array([[0.5, 0.6]]), np.array([[0.45, 0.6]])]
    row = plan_table(bare, paths, [], {})["objectives"][1]
    assert [row[key] for key in ("bound", "bound_at_twice", "half_width", "knee")] == [None] * 4


def test_what_lies_at_the_end_of_the_data_is_asked_for_less_not_aimed_at_higher() -> None:
    found = summary([0.6, 0.486, 0.46])
    harm = found["objectives"][1]
    assert next_step(found)[1].startswith("--params=plan.margins.harm=")
    harm["attainable_high"] = 0.51
    [_, params] = next_step(found)
    lower = float(params.removeprefix("--params=plan.thresholds.harm="))
    assert lower < harm["ci_low"] < 0.5


def test_a_next_command_replaces_what_the_last_one_said_of_the_same_parameter() -> None:
    command = "kedro run '--params=plan.margins.harm=0.01,data_root=my runs'"
    assert joined(command, ("--params=plan.margins.harm=0.02",)) == (
        "kedro run '--params=plan.margins.harm=0.02,data_root=my runs'"
    )
