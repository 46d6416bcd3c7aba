"""The page says verdicts, level, prompts, and how good its judges are."""

import re
from typing import Any

import pandas as pd
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts, judge
from mopo_pipeline.reporting.page import headline, render_page
from mopo_pipeline.reporting.style import nothing, png
from mopo_pipeline.reporting.summary import run_summary
from mopo_pipeline.reporting.tables import pareto_report

QUALITY = {"labelled": 9, "missing": 1, "tie_share": 0.1, "position_bias": None}
SIDE = {"value": 7.25, "low": 7.0, "high": 7.5}
CAPABILITY = [
    {"measure": "length", "unit": "tokens per answer", "reference": SIDE, "policy": SIDE}
    | {"change": {"value": 0.125, "low": 0.1, "high": 0.15}}
]
FIGURES = ("value", "front", "training", "validation", "multiplier", "calibration", "agreement")


def summary(checks: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    return run_summary(
        checks,
        PLAN,
        facts(**changes),
        {"optimum": None},
        certificate(checks),
        environment=None,
        seed=0,
        seconds=None,
    )


def page(values: pd.DataFrame, judges: dict[str, Any], **changes: Any) -> str:
    """The visible text of a page."""
    checks = checked(values, judges=judges)
    evaluation = facts(judges=judges, **changes)
    exact = {"optimum": None}
    html = render_page(
        title="A run",
        summary=summary(checks, judges=judges, **changes),
        certificate=certificate(checks),
        plan=PLAN,
        evaluation=evaluation,
        checks=checks,
        pareto=pareto_report(values, PLAN, exact, evaluation["estimator"], 0.0),
        ingest={"prompts": 40},
        preferences={"objectives": dict.fromkeys(NAMES, QUALITY)},
        capability=CAPABILITY,
        findings=[],
        samples=[],
        figures=dict.fromkeys(FIGURES, png(nothing("none"))),
    )
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S).split())


def values(half: float = 0.01) -> pd.DataFrame:
    return pd.concat(
        [
            estimate("preference_model", [0.6, 0.52, 0.455], half=half),
            estimate("doubly_robust", [0.59, 0.51, 0.45], half=half, effective=12.0),
        ]
    )


def test_verdict_level_and_prompts_stand_beside_the_result() -> None:
    text = page(values(), {"preference_model": judge()})
    assert "95% interval prompts verdict" in text
    assert "0.520 0.510–0.530 40 held" in text
    assert "0.455 0.445–0.465 40 held, within noise" in text
    assert "undecided: 12 effective comparisons, 30 needed" in text
    assert "40 prompts, 12 effective comparisons" in text


def test_capability_stands_with_its_intervals_and_a_change_that_is_certain() -> None:
    text = page(values(), {"preference_model": judge()})
    assert "length tokens per answer 7.250 [7.000, 7.500] 7.250 [7.000, 7.500]" in text
    assert "0.125 [0.100, 0.150]" in text


def test_the_certificate_stands_above_the_table_with_what_would_help() -> None:
    text = page(values(), {"preference_model": judge()})
    assert text.index("not certified (judged) at 97.0% joint confidence") < text.index("Achieved")
    for said in (
        "one-sided",
        "0.450 0.455 0.444 held, within noise",
        "test prompts in place of 40 would certify short",
        "Look 1 of 1 at this test split",
        "Passed over: doubly_robust: 12 effective comparisons",
    ):
        assert said in text


def test_the_judge_s_own_record_stands_beside_its_verdicts() -> None:
    text = page(values(), {"preference_model": judge()})
    assert (
        "preference model harm 70.0% 65.0%–75.0% 400 40 0.190 0.030 1.000 [0.900, 1.100] "
        "0.800 [0.700, 0.900] 0.700 [0.680, 0.720] 0.740"
    ) in text
    assert "does not know 2.0% of the words it judged" in text
    assert text.index("does not know 2.0%") < text.index("Where the policy stands")


def test_slope_and_ceiling_of_a_judge_stand_beside_each_threshold() -> None:
    text = page(values(), {"preference_model": judge()})
    assert text.count("slope 0.800 best answers 0.700 of 0.740 held") == 2
    unknown = {"preference_model": judge(slope=None, ceiling=None, calibration=None)}
    assert "0.190 0.030 – 0.740" in page(values(), unknown)
    assert "slope 0" not in page(values(), unknown)
    blind = {"preference_model": judge(slope=0.07, slope_low=0.02, slope_high=0.12)}
    text = page(values(), blind)
    assert (
        "undecided (judge cannot tell: a gain of 1 by test labels is one of 0.07 [0.02, 0.12] to it)"
        in text
    )


def test_measured_and_planned_kl_stand_side_by_side() -> None:
    assert "0.400 ± 0.010 (planned 0.300)" in page(values(), {"preference_model": judge()})


def test_a_doubtful_judge_is_named_wherever_it_says_held() -> None:
    wrong = {"preference_model": judge(comparisons=8, accuracy=0.17, accuracy_low=0.0)}
    text = page(values(), wrong)
    assert "was held" not in text
    doubt = "(judge right in 17% of 8 comparisons)"
    assert text.count(f"held {doubt}") == 4
    assert text.count(f"within noise {doubt}") == 4


def test_the_share_of_cut_answers_is_shown_where_it_is_known() -> None:
    shares = {"reference": 0.125, "policy": 0.25}
    assert "greatest length 12.5% 25.0%" in page(values(), {}, cut_share=shares)
    assert "greatest length – –" in page(values(), {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.6, 0.52, 0.47], "; every threshold was held."),
        ([0.6, 0.505, 0.47], "; harm held, within noise; short held."),
        ([0.6, 0.48, 0.445], "; harm missed; short missed, within noise."),
    ],
)
def test_the_headline_calls_held_only_what_is_held(given: list[float], expected: str) -> None:
    checks = checked(estimate("preference_model", given))
    said = headline(summary(checks))
    assert said == f"Help reached a win rate of 0.600{expected}"


def test_without_an_estimator_the_headline_says_so() -> None:
    checks = checked(estimate("doubly_robust", [0.6, 0.52, 0.47], effective=3.0))
    assert headline(summary(checks, estimator=None)).startswith("Nothing could judge the policy")
