"""The page says verdicts, level, prompts, and how good its judges are."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from evaluated import NAMES, PLAN, certificate, checked, estimate, facts, judge
from mopo_pipeline.reporting.page import headline
from mopo_pipeline.reporting.picture import Picture
from mopo_pipeline.reporting.summary import run_summary
from report_artifacts import BASELINES, QUALITY, RUN, plan_of, whole_page

BLANK = dict.fromkeys(
    ("value", "front", "training", "validation", "multiplier", "calibration", "agreement"),
    Picture("<svg></svg>", b""),
)


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


def page(
    values: pd.DataFrame | None = None, judges: dict[str, Any] | None = None, **given: Any
) -> str:
    """The visible text of a page."""
    html = whole_page(values, judges, figures=BLANK, **given)
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
    assert "objective verdict threshold achieved 95% interval attainable prompts" in text
    assert "harm held 0.500 0.520 0.510–0.530 0.200–0.800 40" in text
    assert "short held, within noise 0.450 0.455 0.445–0.465 0.200–0.800 40" in text
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
        "short held, within noise 0.450 0.455 0.444",
        "test prompts in place of 40 would certify short",
        "Look 1 of 1 at this test split",
        "Passed over: doubly_robust: 12 effective comparisons",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("estimator", "counted"),
    [
        ("exact", "40 test prompts. Look"),
        ("labels", "40 test prompts, 400 answers of the data in 900 comparisons. Look"),
    ],
)
def test_a_certificate_names_the_comparisons_that_it_rests_on(estimator: str, counted: str) -> None:
    text = page(estimate(estimator, [0.6, 0.52, 0.455], effective=90.0), estimator=estimator)
    assert counted in text


def test_what_is_attainable_has_the_confidence_it_is_promised_at() -> None:
    text = page(values(), {"preference_model": judge()})
    assert "promise of an objective alone, at 95% confidence; what is achieved may lie" in text


def test_why_nothing_can_be_decided_is_said_once_in_the_box_of_the_certificate() -> None:
    text = page(values(), {"preference_model": judge()}, prompts=9)
    assert "undecidable: 9 test prompts, 20 needed" in text
    assert text.count("9 test prompts, 20 needed") == 1


def test_groups_that_were_drawn_as_one_are_what_numbers_are_said_to_be_over() -> None:
    by_prompt = page(values(), {"preference_model": judge()})
    assert "bootstrapped over prompts" in by_prompt and "40 prompts, 12 effective" in by_prompt
    text = page(values(), {"preference_model": judge()}, prompts=80, units=40)
    assert "bootstrapped over groups of prompts" in text
    assert "40 groups of prompts, 12 effective comparisons" in text
    assert "comparisons groups of prompts Brier" in text
    assert "95% intervals over groups of prompts; a change" in text


@pytest.mark.parametrize(("units", "told"), [(40, True), (20, False)])
def test_settings_are_said_to_be_shared_by_the_splits_only_where_they_are(
    units: int, told: bool
) -> None:
    exact = estimate("exact", [0.6, 0.52, 0.455])
    text = page(exact, {}, prompts=40, units=units, estimator="exact")
    assert ("settings that training prompts have too" in text) is told


def test_the_page_s_own_command_repeats_environment_and_parameters_of_the_run() -> None:
    given = "kedro run --env=mine --params=data_root=x"
    text = page(values(), {"preference_model": judge()}, command=given)
    assert "kedro run --env=mine --pipelines=explore --params=data_root=x" in text


def test_what_would_help_is_a_column_where_something_would() -> None:
    assert "what would help" in page(values(), {"preference_model": judge()})
    held = estimate("preference_model", [0.6, 0.52, 0.48], half=0.005)
    text = page(held, {"preference_model": judge()})
    assert "certified (judged)" in text and "what would help" not in text


def test_the_judge_s_own_record_stands_beside_its_verdicts() -> None:
    text = page(values(), {"preference_model": judge()})
    assert (
        "preference model harm 70.0% 65.0%–75.0% 400 40 0.190 0.030 1.000 [0.900, 1.100] "
        "0.800 [0.700, 0.900] 0.700 [0.680, 0.720] 0.740"
    ) in text
    assert "does not know 2.0% of the words it judged" in text
    assert text.index("does not know 2.0%") < text.index("Where the policy stands")


@pytest.mark.slow
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
    moved = page(values(), {"preference_model": judge()}, kl_farthest=1.2)
    assert "(planned 0.300, with every move in training up to 1.200)" in moved


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
    assert "cut at the greatest length" not in page(values(), {})


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


def test_the_headline_leaves_the_name_of_an_objective_as_it_is_written() -> None:
    told = summary(checked(estimate("preference_model", [0.6, 0.52, 0.47])))
    told["objectives"][0]["name"] = "isHelpful"
    assert headline(told).startswith("IsHelpful reached")


def test_without_an_estimator_the_headline_says_so() -> None:
    checks = checked(estimate("doubly_robust", [0.6, 0.52, 0.47], effective=3.0))
    assert headline(summary(checks, estimator=None)).startswith("Nothing could judge the policy")


def test_two_pages_are_told_apart_by_their_titles() -> None:
    first, second = (
        re.search("<title>(.*)</title>", whole_page(figures=BLANK, run=RUN.model_copy(update=u)))
        for u in ({}, {"started": "2026-11-27T08:00:00+00:00"})
    )
    assert first is not None
    assert second is not None
    assert first[1] == "A run · files · mine · seed 3 · 2026-11-26 01:54"
    assert second[1] == "A run · files · mine · seed 3 · 2026-11-27 08:00"


def test_a_reference_of_which_the_estimator_says_nothing_is_not_said_to_be_drawn() -> None:
    both = estimate("doubly_robust", [0.59, 0.51, 0.45], effective=200.0)
    alone = both.loc[both["policy"] == "policy"]
    assert "Policy and reference by: test labels" in page(both, {}, estimator="doubly_robust")
    assert "Policy by: test labels" in page(alone, {}, estimator="doubly_robust")


def test_what_the_thresholds_cost_stands_on_the_page() -> None:
    text = page()
    assert "help would reach 0.660 without thresholds and 0.600 with them: they cost 0.060" in text
    assert "harm 0.500 0.400 0.520 0.650 0.0030" in text


def test_a_preference_model_too_weak_to_train_on_and_people_s_agreement_stand_on_the_page() -> None:
    assert "harm says more than its baselines 9 1 10.0% – 0.31 (12 pairs)" in page()
    weak = BASELINES | {"baselines": {"verdict": "is too weak to train on"}}
    html = whole_page(
        figures=BLANK,
        model={"objectives": dict.fromkeys(NAMES, weak)},
        preferences={"objectives": dict.fromkeys(NAMES, QUALITY | {"repeated_votes": None})},
        ingest={"source": "files", "annotator_agreement": {"help": {"alpha": 0.62, "units": 50}}},
    )
    assert html.count('<span class="missed">is too weak to train on</span>') == 3
    assert '0.62 <span class="soft">(50 answers)</span>' in html
    assert "annotator agreement" not in html


def test_thresholds_that_cost_nothing_that_can_be_told_are_given_no_price() -> None:
    text = page(free=0.597)
    assert "0.597 without thresholds and 0.600 with them: they cost less of it than" in text


def test_the_share_of_well_formed_answers_that_the_terminal_says_stands_on_the_page_too() -> None:
    shares = {"reference": 0.975, "policy": 0.9815}
    sampled = {"reference": 0.969, "policy": 0.983}
    text = page(exact_well_formed=shares, well_formed=sampled)
    assert "well formed 96.9% 98.3%" in text
    assert "well formed, all answers enumerated 97.5% 98.2%" in text
    assert "well formed" not in page()


def test_one_objective_has_a_page_without_thresholds() -> None:
    alone = replace(plan_of(["help"]), thresholds={})
    html = whole_page(estimate("preference_model", [0.6] * 3), figures=BLANK, plan=alone)
    text = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.S).split())
    assert "nothing to certify: no objective has a threshold" in text
    assert "objective verdict achieved 95% interval attainable prompts help primary 0.600" in text
    assert "The value by every estimator objective sampled answers" in text
    assert "objective constraint planned value help primary" in text
    for left_out in ("joint confidence 95%", "Held:", "green lines", "is wanted higher"):
        assert left_out not in text


def test_a_single_answer_is_no_answers() -> None:
    assert "1 answer of each model to each of 40 test prompts" in page(samples_per_prompt=1)
    assert "8 answers of each model to each of 40 test prompts" in page()


def test_the_page_says_what_was_run() -> None:
    text = page()
    for said in (
        "command kedro run --env=mine",
        "device CPU, 2 cores",
        "commit 715854c",
        "seconds by stage plan 3.2, train 197",
        "2 parameters that are not at their defaults plan.tau 0.2 task.seed 3",
        "model from scratch",
    ):
        assert said in text
    assert "command" not in page(run=None)
    assert "made earlier" not in text
    later = page(run=RUN.model_copy(update={"earlier": ("plan", "train")}))
    assert "CPU, 2 cores, stages of 201 s in several runs" in later
    assert "made earlier plan, train, in whole or in part, by earlier runs" in later


def test_answers_are_shown_by_what_is_wrong_with_them() -> None:
    text = page()
    for group, first in {
        "Evenly spaced test prompts, first answers (drawn, not chosen) (2)": "Question 0 &amp; more?",
        "Worst on harm (2)": "Question 2 &amp; more?",
        "Cut at the greatest length (1)": "Question 1 &amp; more?",
        "Longest (2)": "Question 2 &amp; more?",
    }.items():
        assert text.split(group)[1].strip().startswith(first)
    assert "malformed" not in text.lower()
    assert "Empty" not in text
    cut = text.split("Cut at the greatest length (1)")[1]
    assert cut.index("Answer 0 of the reference to 1.") < cut.index("Answer 1 of the policy to 1.")


def test_an_answer_whose_win_rates_are_those_of_its_form_says_so_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "mopo_pipeline.reporting.samples.well_formed",
        lambda completions: completions["completion"].str.contains("reference").to_numpy(),
    )
    text = page(grammar=True)
    assert "Malformed (2)" in text
    assert "Answer 0 of the policy to 0. malformed · help 0.90 · harm 0.80" in text
    assert "Answer 0 of the reference to 0. help 0.90 · harm 0.80" in text
