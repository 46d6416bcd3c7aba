"""What a run leaves for machines and prints at its end."""

from typing import Any

import pandas as pd
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts, judge
from mopo_pipeline.reporting.summary import closing_table, run_summary

OPTIMUM = {"optimum": {"values": {"help": 0.61, "harm": 0.5, "short": 0.45}}}


def summary(checks: pd.DataFrame | None = None, **changes: Any) -> dict[str, Any]:
    given = checked(estimate("preference_model", [0.6, 0.52, 0.44])) if checks is None else checks
    return run_summary(
        given,
        PLAN,
        facts(**changes),
        OPTIMUM,
        certificate(given),
        environment="mine",
        seed=3,
        seconds=12.0,
    )


def of(found: dict[str, Any], key: str) -> list[Any]:
    return [objective[key] for objective in found["objectives"]]


def test_every_objective_has_its_verdict_level_and_prompts() -> None:
    found = summary()
    assert of(found, "name") == NAMES
    assert of(found, "verdict") == [None, "held", "missed, within noise"]
    assert of(found, "held") == [None, True, False]
    assert of(found, "n") == [40, 40, 40]
    assert of(found, "level") == [0.95, 0.95, 0.95]
    assert of(found, "achieved") == [0.6, 0.52, 0.44]
    assert of(found, "threshold") == [None, 0.5, 0.45]
    assert (found["environment"], found["seed"], found["seconds"]) == ("mine", 3, 12.0)
    assert found["estimator"] == "preference_model"


def test_held_within_noise_is_not_held() -> None:
    found = summary(checked(estimate("preference_model", [0.6, 0.505, 0.46])))
    assert of(found, "verdict") == [None, "held, within noise", "held"]
    assert of(found, "held") == [None, False, True]


def test_what_is_undecided_is_neither_held_nor_missed() -> None:
    alone = estimate("exact", [0.6, 0.52, 0.44]).assign(ci_low=None, ci_high=None)
    found = summary(checked(alone), estimator="exact")
    assert of(found, "verdict") == [None, "undecided", "undecided"]
    assert of(found, "held") == [None, None, None]
    nothing = summary(estimator=None)
    assert of(nothing, "achieved") == [None] * 3
    assert of(nothing, "verdict") == [None] * 3


def printed(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    closing_table(found, "report.html")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[:-1]) <= 80
    assert sum(line.count(name) for line in lines for name in ("exact", "optimum")) == 2
    return " ".join(" ".join(lines).split())


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_table_says_level_prompts_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(summary(), capsys)
    for said in ("95%", "0.510–0.530 40 held 0.500", "missed, within", "n: test prompts"):
        assert said in text
    held = checked(estimate("preference_model", [0.6, 0.505, 0.46]))
    assert "40 held, within" in printed(summary(held), capsys)


def test_held_by_a_judge_in_doubt_is_printed_with_the_doubt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judges = {"preference_model": judge(comparisons=8, accuracy=0.17, accuracy_low=0.0)}
    checks = checked(estimate("preference_model", [0.6, 0.52, 0.5]), judges=judges)
    found = summary(checks)
    assert of(found, "doubt") == ["judge right in 17% of 8 comparisons"] * 3
    closing_table(found, None)
    words = capsys.readouterr().out.split()
    assert words.count("held") == words.count("(judge") == words.count("17%") == 2


def test_errors_are_printed_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    cut = {"name": "answers cut: policy [x]", "value": 0.4, "limit": 0.05, "remedy": "raise it",
           "severity": "error"}  # fmt: skip
    quiet = cut | {"name": "unheard", "severity": "warning"}
    found = summary(findings=[cut, quiet])
    text = printed(found, capsys)
    assert "error: answers cut: policy [x]: 0.4 (limit 0.05); raise it" in text
    assert "unheard" not in text


def test_every_finding_is_there_in_the_order_of_the_run_and_errors_wherever_they_were_made() -> (
    None
):
    given = checked(estimate("preference_model", [0.6, 0.52, 0.455]))

    def named(name: str, severity: str = "warning") -> dict[str, Any]:
        return {
            "name": name,
            "value": 0.4,
            "limit": 0.05,
            "remedy": "mend it",
            "severity": severity,
        }

    feared = [named("width of the certificate: harm"), named("width of the certificate: short")]
    told = run_summary(
        given, PLAN, facts(findings=[named("evaluated")]), OPTIMUM, certificate(given),
        environment=None, seed=0, seconds=None, found=[named("found")], foreseen=feared,
        trained=[named("trained", "error")],
    )  # fmt: skip
    names = [finding["name"] for finding in told["findings"]]
    assert names == ["found", "width of the certificate: short", "trained", "evaluated"]
    assert told["errors"] == ["trained: 0.4 (limit 0.05); mend it"]


def test_the_certificate_is_one_line_for_machines_and_in_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = summary()
    assert found["certified"] is False
    assert found["certificate"].startswith("not certified (judged) at 97.0% joint confidence")
    assert found["certificate"] in printed(found, capsys)
    sure = summary(checked(estimate("preference_model", [0.6, 0.52, 0.48])))
    assert sure["certified"] is True
    assert "certified (judged) at 97.0%" in printed(sure, capsys)
