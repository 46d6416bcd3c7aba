"""What a user is told about the policy, its answers and its judges."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import checked, estimate, facts, judge
from mopo_pipeline.evaluation.disagreements import disagreements
from mopo_pipeline.evaluation.findings import diagnose_policy

GOOD = [0.6, 0.52, 0.47]


def names(checks: pd.DataFrame, **changes: Any) -> list[str]:
    return [f"{f.severity} {f.name}" for f in diagnose_policy(facts(**changes), checks)]


def model(**given: Any) -> pd.DataFrame:
    return checked(estimate("preference_model", GOOD), **given)


def test_a_healthy_evaluation_has_no_findings() -> None:
    assert names(model()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kl_to_reference": 0.001}, "warning policy did not move"),
        ({"entropy": {"reference": 12.0, "policy": 1.0}}, "warning policy collapsed"),
        ({"well_formed": {"reference": 1.0, "policy": 0.9}}, "warning malformed answers"),
        ({"empty_share": {"reference": 0.0, "policy": 0.1}}, "warning empty answers"),
        ({"tokens": {"reference": 20.0, "policy": 41.0}}, "info length drift"),
        ({"tokens": {"reference": 20.0, "policy": 9.0}}, "info length drift"),
        ({"cut_share": {"reference": 0.0, "policy": 0.06}}, "error answers cut: policy"),
        ({"cut_share": {"reference": 0.83, "policy": 0.0}}, "error answers cut: reference"),
    ],
)
def test_each_fault_of_the_answers_is_found_alone(changes: dict[str, Any], expected: str) -> None:
    assert names(model(), **changes) == [expected]


def test_the_number_beside_malformed_answers_is_how_many_are_malformed() -> None:
    [found] = diagnose_policy(facts(well_formed={"reference": 1.0, "policy": 0.0}), model())
    assert (found.value, found.limit) == (1.0, 0.05)
    assert names(model(), well_formed={"reference": 1.0, "policy": 0.95}) == []


def test_up_to_five_percent_of_cut_answers_are_no_finding() -> None:
    assert names(model(), cut_share={"reference": 0.05, "policy": 0.05}) == []


def test_missed_thresholds_are_told_by_their_verdict() -> None:
    surely = checked(estimate("preference_model", [0.6, 0.52, 0.43]))
    assert names(surely) == ["warning threshold missed: short"]
    perhaps = checked(estimate("preference_model", [0.6, 0.52, 0.43], half=0.03))
    assert names(perhaps) == ["info threshold missed, within noise: short"]
    held = checked(estimate("preference_model", [0.6, 0.501, 0.451], half=0.03))
    assert names(held) == []


def test_estimators_that_exclude_each_other_are_named_with_their_values() -> None:
    found = disagreements(
        checked(estimate("rules", GOOD), estimate("preference_model", [0.7, 0.52, 0.47]))
    )
    assert [f.name for f in found] == ["estimators disagree: help, rules and preference_model"]
    assert "rules says 0.600 [0.590, 0.610], preference_model says 0.700" in found[0].remedy
    assert "trust rules" in found[0].remedy
    assert (found[0].value, found[0].limit) == (0.7, 0.61)


@pytest.mark.parametrize(
    "other",
    [
        estimate("preference_model", [0.605, 0.52, 0.47]),
        estimate("preference_model", [0.7, 0.52, 0.47], half=0.11),
        estimate("preference_model", [0.7, 0.52, 0.47]).assign(ci_low=np.nan, ci_high=np.nan),
        estimate("doubly_robust", [0.7, 0.52, 0.47], effective=29.0),
        estimate("preference_model", [0.6009, 0.52, 0.47], half=0.0001),
    ],
    ids=["inside", "one covers the other", "no interval", "too few", "same digits"],
)
def test_estimators_that_do_not_exclude_each_other_agree(other: pd.DataFrame) -> None:
    half = 0.0001 if other["ci_high"].iloc[3] - other["value"].iloc[3] < 0.001 else 0.01
    assert disagreements(checked(estimate("rules", GOOD, half=half), other)) == []


def test_labels_are_trusted_over_a_doubtful_judge() -> None:
    found = disagreements(
        checked(
            estimate("preference_model", [0.7, 0.52, 0.47]),
            estimate("doubly_robust", GOOD, effective=200.0),
            judges={"preference_model": judge(accuracy=0.5, accuracy_low=0.44)},
        )
    )
    assert (
        "trust doubly_robust (of preference_model: judge right in 50% of 400 comparisons)"
        in found[0].remedy
    )


def test_labels_that_the_verdict_rests_on_are_trusted_over_a_judge() -> None:
    checks = checked(
        estimate("preference_model", [0.7, 0.52, 0.47]),
        estimate("doubly_robust", GOOD, effective=200.0),
    )
    [found] = disagreements(checks, "doubly_robust")
    assert "trust doubly_robust (the verdict rests on it)" in found.remedy
    [other] = disagreements(checks)
    assert "trust preference_model (preference_model measures more directly)" in other.remedy


def test_one_that_is_not_to_be_trusted_speaks_against_no_other() -> None:
    """Labels both ways agree and the verdict rests on one of them; a judge sees more."""
    checks = checked(
        estimate("preference_model", [0.7, 0.52, 0.47]),
        estimate("doubly_robust", GOOD, effective=200.0),
        estimate("labels", [0.605, 0.52, 0.47], effective=200.0),
    )
    [found] = disagreements(checks, "doubly_robust")
    assert found.name == "estimators disagree: help, doubly_robust and preference_model"
    assert (found.value, found.limit) == (0.7, 0.61)
    assert "trust doubly_robust (the verdict rests on it)" in found.remedy
    advice = " ".join(one.remedy for one in disagreements(checks))
    assert "trust preference_model" in advice and "trust doubly_robust" not in advice


def test_an_estimate_between_two_others_does_not_hide_their_disagreement() -> None:
    """The wide first one covers both; the other two exclude each other."""
    found = disagreements(
        checked(
            estimate("rules", [0.6, 0.52, 0.47], half=0.2),
            estimate("preference_model", [0.7, 0.52, 0.47]),
            estimate("doubly_robust", [0.5, 0.52, 0.47], effective=200.0),
        )
    )
    assert [f.name for f in found] == [
        "estimators disagree: help, preference_model and doubly_robust"
    ]


def test_a_judge_near_chance_or_hardly_tried_is_told() -> None:
    chance = {"preference_model": judge(accuracy=0.52, accuracy_low=0.48)}
    assert names(model(judges=chance), judges=chance) == [
        f"warning judge not better than chance: preference_model, {name}"
        for name in ("help", "harm", "short")
    ]
    few = {"preference_model": judge(comparisons=29, accuracy=0.97, accuracy_low=0.9)}
    assert names(model(judges=few), judges=few)[0] == (
        "warning judge hardly held against labels: preference_model, help"
    )


def test_what_a_judge_cannot_tell_and_what_it_is_worth_uncalibrated_are_told() -> None:
    deaf = {"preference_model": judge(slope=0.07, slope_low=0.02, slope_high=0.12)}
    found = diagnose_policy(facts(judges=deaf), model(judges=deaf))
    assert [f.name for f in found] == [
        f"judge cannot tell: preference_model, {name}" for name in ("help", "harm", "short")
    ]
    assert (found[0].value, found[0].limit) == (0.02, 0.1)
    assert "believe the labels" in found[0].remedy
    own = {"preference_model": judge(calibration=None)}
    assert names(model(judges=own), judges=own) == [
        f"warning judge uncalibrated: preference_model, {name}"
        for name in ("help", "harm", "short")
    ]


@pytest.mark.parametrize(
    ("measured", "planned", "expected"),
    [
        (2.93, 0.07, ["warning KL beyond the plan"]),
        (0.84, 0.07, ["warning KL beyond the plan"]),
        (0.63, 1.0, []),
        (0.24, 0.07, []),
        (0.18, 0.001, []),
        (0.24, 1.2, ["info KL short of the plan"]),
        (0.29, 1.2, []),
    ],
)
def test_kl_measured_far_from_the_planned_one_is_told(
    measured: float, planned: float, expected: list[str]
) -> None:
    given = {"kl_to_reference": measured, "kl_planned": planned, "kl_farthest": planned}
    assert names(model(), **given) == expected


def test_kl_that_the_moves_of_training_were_meant_to_reach_is_not_beyond_the_plan() -> None:
    """Fresh responses move the reference: four moves of .38 may lead 6.1 nats away, and no farther."""
    moved = {"kl_planned": 0.38, "kl_farthest": 6.08}
    assert names(model(), kl_to_reference=1.99, **moved) == []
    assert names(model(), kl_to_reference=7.0, **moved) == ["warning KL beyond the plan"]
    unmoved = moved | {"kl_farthest": 0.38}
    assert names(model(), kl_to_reference=1.99, **unmoved) == ["warning KL beyond the plan"]


def test_kl_that_only_noise_puts_beyond_the_plan_is_not_told() -> None:
    wide = {"kl_to_reference": 0.84, "kl_planned": 0.07, "kl_to_reference_se": 0.3}
    wide |= {"kl_farthest": 0.07}
    assert names(model(), **wide) == []
    once = wide | {"kl_to_reference_se": None}
    assert names(model(), **once) == ["warning KL beyond the plan"]


def test_a_label_based_value_that_rests_on_little_is_told() -> None:
    thin = checked(
        estimate("preference_model", GOOD), estimate("doubly_robust", GOOD, effective=7.0)
    )
    assert names(thin) == ["warning few effective comparisons: doubly_robust, help"]
    robust = facts()["doubly_robust"]
    assert names(model(), doubly_robust=robust | {"outside": {"help": 1.034}}) == [
        "warning estimate outside [0, 1]: doubly_robust, help"
    ]
    assert names(model(), doubly_robust=robust | {"clipped": 0.4}) == [
        "warning ratios clipped: doubly_robust"
    ]


def test_data_that_the_reference_surely_did_not_draw_are_told() -> None:
    robust = facts()["doubly_robust"]
    other = {"mean_ratio": 2.0, "mean_ratio_low": 1.8}
    assert names(model(), doubly_robust=robust | other) == [
        "warning data not drawn by the reference"
    ]
    chance = {"mean_ratio": 2.0, "mean_ratio_low": 0.9}
    assert names(model(), doubly_robust=robust | chance) == []


def test_what_a_judge_reads_in_part_is_told_by_judge_and_split() -> None:
    parts = {
        "validation": {"texts": 200, "in_part": 4},
        "test": {"texts": 100, "in_part": 0},
        "answers": {"texts": 50, "in_part": 10},
    }
    judges = {"rules": judge(), "reward_models": judge() | {"read_in_part": parts}}
    (found,) = diagnose_policy(facts(judges=judges), model())
    assert (found.name, found.severity) == ("texts read in part: reward_models", "warning")
    assert (found.value, found.limit) == (0.2, 0.05)
    assert found.remedy.startswith(
        "4 of 200 validation answers, 10 of 50 models' answers are longer"
    )
    few = {"test": {"texts": 100, "in_part": 1}}
    judges = {"chat": judge() | {"read_in_part": few}}
    assert names(model(), judges=judges) == ["info texts read in part: chat"]
