"""What a person reads at the end of a plan and of a run, letter by letter, at 80 columns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts, judge
from front_artifacts import report as front_report
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.reporting.capability import capability_table
from mopo_pipeline.reporting.front_table import front_table, variants_table
from mopo_pipeline.reporting.plan_table import meaning as plan_meaning
from mopo_pipeline.reporting.plan_table import plan_table, print_plan_table
from mopo_pipeline.reporting.steered import steered_table
from mopo_pipeline.reporting.summary import closing_table, run_summary
from mopo_pipeline.reporting.verdict import joined, meaning, next_step, still_open

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
        {"objective": "harm", "half_width": 0.04, "prompts": 40},
        {"objective": "short", "half_width": 0.01, "prompts": 40},
    ]
    power = {"prompts": 40, "drawn": "test prompts", "outlook": outlook[: len(names) - 1]}
    return plan_table(plan, paths[: len(names) - 1], ["short"], power)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_plan_ends_with_its_table(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan_table(plan_of(NAMES[:size]), "kedro run --env=mine --only-missing-outputs")
    shown(f"plan_{size}", capsys.readouterr().out)


def test_a_margin_that_is_set_counts_in_the_one_that_a_certificate_takes() -> None:
    power = {
        "prompts": 40,
        "drawn": "test prompts",
        "outlook": [{"objective": "harm", "half_width": 0.04, "prompts": 40}],
    }
    paths = [np.array([[0.5, 0.6]]), np.array([[0.45, 0.6]])]
    asked = []
    for target in (0.5, 0.53):
        plan = replace(PLAN, targets={"harm": target, "short": 0.45})
        said = " ".join(plan_meaning(plan_table(plan, paths, [], power)))
        asked.append(float(said.split("plan.margins.harm=")[1].split(",")[0]))
    assert asked[1] - asked[0] == pytest.approx(0.03)


def test_no_margin_is_said_to_give_a_certificate_where_test_prompts_are_too_few_for_any() -> None:
    outlook = [
        {"objective": "harm", "half_width": 0.04, "prompts": 40},
        {"objective": "short", "half_width": 0.09, "prompts": 9},
    ]
    power = {"prompts": 40, "drawn": "test prompts", "outlook": outlook}
    paths = [np.array([[0.5, 0.6]]), np.array([[0.45, 0.6]])]
    said = plan_meaning(plan_table(PLAN, paths, [], power))
    assert "plan.margins" not in " ".join(said)
    assert said[-1] == "9 test prompts certify nothing, whatever is trained: 20 are the fewest."


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


def test_what_was_feared_of_a_threshold_that_came_out_as_held_is_told_no_more() -> None:
    feared = [
        {"name": name}
        for name in ("width of the certificate: harm", "width of the certificate: short", "other")
    ]
    issued = certificate(checked(estimate("preference_model", [0.6, 0.52, 0.455])))
    assert [one.verdict for one in issued.thresholds] == ["held", "held, within noise"]
    assert [one["name"] for one in still_open(feared, issued)] == [
        "width of the certificate: short",
        "other",
    ]


def test_what_is_certified_is_not_said_to_be_too_little_to_tell() -> None:
    """One threshold's bound is one-sided: it may reach what the two-sided interval of the table does not."""
    alone = replace(PLAN, objectives=("help", "harm"), thresholds={"harm": 0.4805})
    checks = checked(estimate("preference_model", [0.6, 0.5, 0.5], half=0.02), plan=alone)
    issued = certificate(checks, alone)
    found = run_summary(
        checks, alone, facts(), {}, issued, environment="mine", seed=3, seconds=12.0
    )
    assert issued.certified
    assert found["objectives"][1]["verdict"] == "held, within noise"
    assert meaning(found) == []


def test_while_a_judge_cannot_tell_of_one_threshold_no_training_is_advised() -> None:
    judges = {"preference_model": judge()}
    judges["preference_model"]["objectives"]["harm"] |= {
        "slope": 0.07,
        "slope_low": 0.02,
        "slope_high": 0.12,
    }
    checks = checked(estimate("preference_model", [0.6, 0.52, 0.40]), judges=judges)
    found = run_summary(
        checks, PLAN, facts(), {}, certificate(checks), environment="mine", seed=3, seconds=12.0
    )
    assert [row["verdict"] for row in found["objectives"]] == [None, "undecided", "missed"]
    blind, short = meaning(found)
    assert blind == (
        "harm is undecided, which no training changes; name another judge in evaluate.judges."
    )
    assert "short .400 for .450" in short
    assert next_step(found) == ()


def test_where_no_objective_has_a_threshold_nothing_is_called_certified() -> None:
    alone = replace(PLAN, objectives=("help",), thresholds={})
    checks = checked(estimate("preference_model", [0.6, 0.5, 0.5]), plan=alone)
    found = run_summary(
        checks,
        alone,
        facts(),
        {},
        certificate(checks, alone),
        environment="mine",
        seed=3,
        seconds=12.0,
    )
    assert found["certified"] is None
    assert meaning(found) == []
    assert next_step(found) == ("--pipelines=export",)


def test_a_worthless_run_is_advised_to_mend_its_errors_and_nothing_else() -> None:
    said = " ".join(meaning(ENDS["worthless"]))
    assert "training lost .034" in said
    assert "aim higher" not in said
    assert "aim higher" in " ".join(meaning(ENDS["missed"]))


def test_that_nothing_can_be_decided_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    few = {"name": "certificate undecidable: few test prompts", "value": 9.0, "limit": 20.0,
           "severity": "error", "remedy": "add prompts"}  # fmt: skip
    told = summary([0.6, 0.486, 0.46], findings=[few, CUT])
    told["certificate"] = "undecidable: 9 test prompts, 20 needed: add prompts"
    closing_table(told, None)
    said = capsys.readouterr().out
    assert said.count("add prompts") == 1
    assert "error: answers cut" in said


def test_a_next_command_replaces_what_the_last_one_said_of_the_same_parameter() -> None:
    command = "kedro run '--params=plan.margins.harm=0.01,data_root=my runs'"
    assert joined(command, ("--params=plan.margins.harm=0.02",)) == (
        "kedro run '--params=plan.margins.harm=0.02,data_root=my runs'"
    )


TASK = TaskParams.model_validate({"objectives": [{"name": n} for n in NAMES]})


def test_fronts_end_with_their_methods_by_hypervolume_and_what_is_to_be_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = front_report()
    methods = {
        name: {"share_of_exact": None, "violation_rate": None, "failed": 0} | told
        for name, told in report["methods"].items()
    }
    methods["scalarised_dpo"]["failed"] = 2
    finding = {"name": "2 runs failed", "severity": "warning",
               "remedy": "kedro sweep says why; kedro run --pipelines=front --only-missing-outputs makes them again"}  # fmt: skip
    report |= {
        "methods": methods,
        "hypervolume_reference": [0.0] * 3,
        "standing": {"scalarised_dpo": "win"},
        "without_points": {"raco": {"failed": 3, "skipped": 0}},
        "matched_kl": {
            "budget": 0.42,
            "hypervolumes": {"mopo": {"hypervolume": 0.235}},
            "within_noise": 2,
            "farther": {"mod": 1.79},
            "pairs": {"mod": {"budget": 1.81, "probability": 0.67}},
        },
        "seeds": [0],
        "estimators": ["labels"],
        "sensitivity": {"first_stays": True},
        "findings": [finding],
    }
    front_table(report)
    shown("front", capsys.readouterr().out)


def test_an_ablation_ends_with_every_variant_and_why_one_left_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {f"value_{name}": value for name, value in zip(NAMES, (0.6, 0.52, 0.47), strict=True)}
    rows = [
        {"method": "tau", "point": "plan.tau=0.1", "status": "done", "reason": "", "kl": 0.42},
        {"method": "tau", "point": "plan.tau=0.01,plan.confidence=0.9", "status": "failed",
         "reason": "loss was NaN at step 40", "kl": np.nan},
    ]  # fmt: skip
    variants_table(pd.DataFrame([row | values for row in rows]), TASK)
    shown("ablation", capsys.readouterr().out)


def test_settings_of_an_ablation_are_told_apart_beside_long_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("helpfulness", "harmlessness", "conciseness")
    task = TaskParams.model_validate({"objectives": [{"name": name} for name in names]})
    row = {"method": "confidence", "status": "done", "reason": "", "kl": 0.1}
    row |= {f"value_{name}": 0.5 for name in names}
    points = [row | {"point": f"plan.confidence={level}"} for level in (0.5, 0.8)]
    variants_table(pd.DataFrame(points), task)
    said = capsys.readouterr().out
    assert "confidence=0.5" in said and "confidence=0.8" in said and "…" not in said


def test_a_steered_policy_is_told_with_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"words": "<harm:3> 100%, <short:0>", "seconds": 0.002, "threshold_harm": 0.5, "threshold_short": 0.45,
           "value_help": 0.61, "value_harm": 0.52, "value_short": 0.47}  # fmt: skip
    steered_table(pd.DataFrame([row]), TASK)
    shown("steered", capsys.readouterr().out)


def test_capability_is_told_with_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    def measure(name: str, unit: str, change: float, half: float | None) -> dict[str, Any]:
        ends = (None, None) if half is None else (change - half, change + half)
        return {
            "measure": name,
            "unit": unit,
            "reference": {"value": 7.25},
            "policy": {"value": 7.25 + change},
            "change": {"value": change, "low": ends[0], "high": ends[1]},
        }

    capability_table(
        [
            measure("length", "tokens per answer", 0.125, 0.025),
            measure("repetition", "share of 3-grams said before in the answer", -0.001, 0.01),
            measure("mine", "share right", 0.0, None),
        ]
    )
    shown("capability", capsys.readouterr().out)
