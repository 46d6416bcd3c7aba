"""A certificate says whether all thresholds hold, on what evidence, and what would help where they do not."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import FIRST, PLAN, certificate, checked, estimate, judge
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import Certificate, certificate_text, headline
from mopo_pipeline.evaluation.certify import EDGE, Levels
from mopo_pipeline.evaluation.checks import threshold_checks
from mopo_pipeline.evaluation.looks import Look
from mopo_pipeline.evaluation.within_prompts import label_values
from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pareto.bounds import bounds
from pocket_world import OBJECTIVES, world


def certified(
    *estimates: pd.DataFrame,
    judges: dict[str, Any] | None = None,
    look: Look | None = FIRST,
    refused: str = "",
    **evidence: Any,
) -> Certificate:
    return certificate(checked(*estimates, judges=judges), look=look, refused=refused, **evidence)


def test_all_lower_bounds_above_their_thresholds_are_certified() -> None:
    found = certified(estimate("exact", [0.6, 0.52, 0.48]))
    assert (found.verdict, found.kind, found.reasons) == ("certified", "exact", ())
    assert [entry.verdict for entry in found.thresholds] == ["held", "held"]
    assert all(entry.helps == () and entry.shortfall is None for entry in found.thresholds)


def test_one_threshold_short_is_enough_to_refuse() -> None:
    found = certified(estimate("exact", [0.6, 0.52, 0.455]))
    assert found.verdict == "not certified"
    assert [entry.verdict for entry in found.thresholds] == ["held", "held, within noise"]
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith("short: held, within noise")


def test_each_bound_is_one_sided_at_its_share_of_looks_and_thresholds() -> None:
    found = certified(estimate("exact", [0.6, 0.52, 0.48], half=0.02))
    share = 0.05 * 6 / math.pi**2
    assert found.joint == pytest.approx(1 - share)
    assert found.level == pytest.approx(1 - share / 2)
    harm = found.thresholds[0]
    assert harm.lower == pytest.approx(bounds(0.52, 0.01, 40, found.level)[0])
    later = certified(estimate("exact", [0.6, 0.52, 0.48], half=0.02), look=Look(3, 3))
    assert later.joint == pytest.approx(1 - share / 9)
    assert later.thresholds[0].lower < harm.lower


def test_what_would_help_would_help() -> None:
    """More prompts, a weaker threshold and a margin, each held against the bound of the next look: it is one to ask again."""
    after = Levels.of(0.95, 2, Look(2, 2)).each
    found = certified(estimate("exact", [0.6, 0.52, 0.455], half=0.02))
    short = found.thresholds[1]
    spread = 0.01 * math.sqrt(40)
    enough, fewer = (
        bounds(0.455, spread / math.sqrt(n), n, after)[0]
        for n in (short.prompts_needed, short.prompts_needed - 1)
    )
    assert enough >= 0.45 > fewer
    assert 0 <= bounds(0.455, 0.01, 40, after)[0] - short.certifiable < 0.001
    assert short.lower + short.shortfall == pytest.approx(0.45)
    said = " ".join(short.helps)
    for words in (
        f"{short.prompts_needed} test prompts",
        "plan.margins.short=",
        f"{short.certifiable:.3f}",
    ):
        assert words in said


def test_a_margin_that_would_help_is_more_than_the_one_there_is() -> None:
    plan = replace(PLAN, targets={"harm": 0.5, "short": 0.49})
    found = certificate(checked(estimate("exact", [0.6, 0.52, 0.455], half=0.02), plan=plan), plan)
    short = found.thresholds[1]
    [margin] = [text for text in short.helps if text.startswith("a margin")]
    asked = float(margin.split("plan.margins.short=")[1].split()[0])
    next_look = bounds(0.455, 0.01, 40, Levels.of(0.95, 2, Look(2, 2)).each)[0]
    assert asked == pytest.approx(0.04 + 0.45 - next_look, abs=0.002)
    assert asked > 0.04 + short.shortfall + 0.003


def test_a_weaker_threshold_leaves_the_policy_what_it_is() -> None:
    """Asked for alone it would be aimed at, and missed by as much."""
    plan = replace(PLAN, targets={"harm": 0.5, "short": 0.46})
    found = certificate(checked(estimate("exact", [0.6, 0.52, 0.455], half=0.02), plan=plan), plan)
    [weaker] = [text for text in found.thresholds[1].helps if text.startswith("a weaker")]
    threshold, margin = (
        float(weaker.split(f"plan.{what}.short=")[1].split(",")[0])
        for what in ("thresholds", "margins")
    )
    assert threshold == found.thresholds[1].certifiable
    assert threshold + margin == pytest.approx(0.46)


def test_no_number_of_prompts_certifies_a_value_below_its_threshold() -> None:
    [_, short] = certified(estimate("exact", [0.6, 0.52, 0.44])).thresholds
    assert (short.verdict, short.prompts_needed) == ("missed, within noise", None)
    assert not any("test prompts in place" in help for help in short.helps)


def test_three_prompts_decide_nothing() -> None:
    three = estimate("exact", [0.6, 0.9, 0.9]).assign(n=3.0)
    found = certified(three, prompts=3, units=3)
    assert found.verdict == "undecidable"
    assert "3 test prompts, 20 needed" in found.reasons[0]
    assert [entry.verdict for entry in found.thresholds] == ["undecided", "undecided"]


def test_answers_that_all_lose_are_missed_though_they_do_not_vary() -> None:
    nothing = estimate("rules", [0.0, 0.0, 0.0]).assign(se=0.0, ci_low=0.0, ci_high=0.0)
    found = certified(nothing)
    assert found.verdict == "not certified"
    assert [entry.verdict for entry in found.thresholds] == ["missed", "missed"]


def test_prompts_that_all_agree_are_no_certainty() -> None:
    same = estimate("rules", [0.6, 1.0, 0.5]).assign(se=0.0, ci_low=1.0, ci_high=1.0)
    same["ci_low"], same["ci_high"] = same["value"], same["value"]
    [harm, short] = certified(same).thresholds
    assert 0.85 < harm.lower < 1.0
    assert short.lower < 0.5


def test_a_policy_equal_to_the_reference_is_certified_below_one_half_alone() -> None:
    """By labels it is worth one half; whether a little more or less is chance."""
    held = world(0, prompts=40)
    same = held.logprobs.assign(logprob_policy=0.0)
    values = label_values(held.responses, held.comparisons, same, OBJECTIVES, EvaluateParams(), 0)
    assert values["value"].tolist() == pytest.approx([0.5] * 3, abs=0.01)
    asked = {OBJECTIVES[1]: 0.5, OBJECTIVES[2]: 0.4}
    plan = replace(PLAN, objectives=OBJECTIVES, thresholds=asked, targets=asked)
    found = certificate(threshold_checks(values, plan, {}), plan)
    assert found.kind == "labelled"
    at_half, below = found.thresholds
    assert (at_half.verdict, below.verdict) == ("held, within noise", "held")
    assert 0.4 < at_half.lower < 0.5


@pytest.mark.parametrize(
    ("off", "said"), [(0.0, "held"), (EDGE / 2, "held"), (1e-6, "held, within noise")]
)
def test_a_bound_at_the_very_edge_reaches_it(off: float, said: str) -> None:
    level = Levels.of(0.95, 2, FIRST).each
    low, _ = bounds(0.52, 0.01, 40, level)
    plan = replace(PLAN, thresholds={"harm": low + off, "short": 0.3})
    checks = checked(estimate("exact", [0.6, 0.52, 0.48], half=0.02), plan=plan)
    found = certificate(checks, plan)
    assert found.thresholds[0].verdict == said


def test_a_judge_in_doubt_certifies_nothing() -> None:
    judges = {"preference_model": judge(comparisons=8, accuracy=0.17, accuracy_low=0.0)}
    found = certified(estimate("preference_model", [0.6, 0.6, 0.6]), judges=judges)
    assert (found.verdict, found.kind) == ("not certified", "judged")
    assert "judge right in 17% of 8 comparisons" in found.reasons[0]
    assert "label more test comparisons of harm" in found.thresholds[0].helps[0]


def test_a_judge_that_cannot_tell_decides_nothing_and_promises_nothing() -> None:
    """Neither more prompts nor a weaker threshold gives it eyes; the values it sees would be held."""
    judges = {"preference_model": judge(slope=0.07, slope_low=0.02, slope_high=0.12)}
    for values in ([0.6, 0.6, 0.6], [0.6, 0.49, 0.4]):
        found = certified(estimate("preference_model", values), judges=judges)
        assert found.verdict == "undecidable"
        assert found.reasons[0].startswith("harm: judge cannot tell: a gain of 1 by test labels")
        for entry in found.thresholds:
            assert (entry.verdict, entry.certifiable) == ("undecided", None)
            assert entry.helps == ("name another judge in evaluate.judges",)


def test_an_uncalibrated_judge_asks_for_validation_labels() -> None:
    judges = {"preference_model": judge(calibration=None)}
    [harm, _] = certified(estimate("preference_model", [0.6] * 3), judges=judges).thresholds
    assert "label more validation comparisons of harm (30 at least)" in harm.helps[-1]


def test_a_judge_needs_labels_with_its_prompts() -> None:
    """The error of its scale does not shrink with test prompts; that of labels and exact values does."""
    for estimator, expected in (("preference_model", True), ("exact", False)):
        [_, short] = certified(estimate(estimator, [0.6, 0.52, 0.455])).thresholds
        assert ("as many times more validation labels" in short.helps[0]) is expected


def test_a_judge_that_cannot_tell_says_how_many_labelled_prompts_would_do_without_it() -> None:
    judges = {"preference_model": judge(slope=0.07, slope_low=0.02, slope_high=0.12)}
    seen = estimate("preference_model", [0.6, 0.52, 0.48])
    few = estimate("labels", [0.6, 0.52, 0.48], effective=20.0)
    found = certified(seen, few, judges=judges, labelled_prompts=36, labelled_units=36)
    assert found.thresholds[0].helps[0].startswith("have 54 test prompts labelled in place of 36")
    for none in (
        certified(seen, few.assign(effective=0.0), judges=judges),
        certified(seen, few, judges=judges, labelled_per_prompt=2.0),
    ):
        assert not any("labelled in place" in text for e in none.thresholds for text in e.helps)


def test_labels_come_before_a_judge_where_they_carry_the_estimate() -> None:
    both = (
        estimate("preference_model", [0.6, 0.52, 0.48]),
        estimate("doubly_robust", [0.6, 0.52, 0.48], effective=200.0),
    )
    assert certified(*both).kind == "labelled"
    few = (both[0], estimate("doubly_robust", [0.6, 0.52, 0.48], effective=1.0))
    found = certified(*few)
    assert (found.kind, found.verdict) == ("judged", "certified")
    assert found.passed_over == ("doubly_robust: 1 effective comparisons of help, 30 needed",)


def test_labels_count_the_prompts_that_have_them_and_judges_those_that_were_asked() -> None:
    labels = estimate("doubly_robust", [0.6, 0.52, 0.48], effective=300.0)
    found = certified(labels, prompts=10, units=10, labelled_prompts=44, labelled_units=40)
    assert found.verdict == "certified"
    assert (found.prompts, found.units) == (44, 40)
    assert "44 test prompts in 40 groups" in headline(found)
    assert "a mean over 40 groups of test prompts" in "".join(found.assumed)
    few = certified(labels.assign(n=10.0), labelled_prompts=10, labelled_units=10)
    assert few.verdict == "undecidable"
    assert "10 test prompts, 20 needed" in few.reasons[0]
    asked = certified(estimate("exact", [0.6, 0.52, 0.48]), labelled_prompts=10, labelled_units=10)
    assert (asked.verdict, asked.prompts) == ("certified", 40)


def test_labels_of_another_policy_are_passed_over_with_the_reason() -> None:
    labels = estimate("labels", [0.6, 0.52, 0.48], effective=200.0)
    robust = estimate("doubly_robust", [0.6, 0.52, 0.48], effective=200.0)
    found = certified(robust, labels, clipped=0.4)
    assert found.estimator == "labels"
    assert "40% of the ratios clipped" in found.passed_over[0]
    nobody = certified(robust, labels, clipped=0.4, labelled_per_prompt=2.0)
    assert nobody.verdict == "undecidable"
    assert "2 labelled answers per prompt, 8 needed" in nobody.passed_over[1]


def test_a_reference_that_did_not_draw_the_data_is_told_and_rules_out_global_ratios() -> None:
    labels = estimate("labels", [0.6, 0.9, 0.9], effective=200.0)
    robust = estimate("doubly_robust", [0.6, 0.9, 0.9], effective=200.0)
    found = certified(robust, labels, mean_ratio=1.8)
    assert found.estimator == "labels"
    assert "not drawn by the reference" in found.passed_over[0]
    assert "is at least 1.80" in found.assumed[-1]
    assert "is at least" not in "".join(certified(labels, mean_ratio=1.0).assumed)
    exact = certified(estimate("exact", [0.6, 0.9, 0.9]), robust, mean_ratio=1.8)
    assert "is at least" not in "".join(exact.assumed)


def test_labels_within_prompts_certify_nothing_that_a_judge_sees_missed() -> None:
    """A policy that is its reference is worth one half by them, whatever the reference says."""
    labels = estimate("labels", [0.5, 0.52, 0.5], effective=200.0)
    seen = estimate("preference_model", [0.4, 0.37, 0.46])
    found = certified(labels, seen)
    assert (found.verdict, found.estimator) == ("not certified", "labels")
    [harm, short] = found.thresholds
    assert harm.doubt.endswith(
        "by the preference model the policy's own are worth 0.370, at most 0.380"
    )
    assert "reference.fit.steps" in harm.helps[-1]
    assert not short.doubt
    blind = {"preference_model": judge(slope=0.07, slope_low=0.02, slope_high=0.12)}
    assert certified(labels, seen, judges=blind).verdict == "certified"
    robust = estimate("doubly_robust", [0.5, 0.52, 0.5], effective=200.0)
    assert certified(robust, seen).verdict == "certified", "labels have corrected the judge"


def test_nothing_is_certified_where_looks_could_not_be_counted() -> None:
    found = certified(
        estimate("exact", [0.6, 0.9, 0.9]), look=None, refused="looks.json is damaged"
    )
    assert (found.verdict, found.reasons) == ("undecidable", ("looks.json is damaged",))
    assert headline(found) == "undecidable: looks.json is damaged"


def test_nobody_to_judge_is_undecidable() -> None:
    silent = estimate("exact", [np.nan] * 3)
    found = certified(silent)
    assert (found.verdict, found.estimator) == ("undecidable", None)
    assert found.reasons == ("exact: no value of help",)


def test_one_objective_has_nothing_to_hold() -> None:
    plan = replace(PLAN, objectives=("help",), thresholds={})
    checks = checked(estimate("exact", [0.6, 0.5, 0.5]), plan=plan)
    found = certificate(checks, plan, look=None)
    assert (found.verdict, found.thresholds) == ("nothing to certify", ())
    assert not found.certified and not found.open
    assert headline(found) == "nothing to certify: no objective has a threshold"


def test_a_certificate_read_again_is_the_one_that_was_written() -> None:
    found = certified(estimate("doubly_robust", [0.6, 0.52, 0.455], effective=200.0))
    again = Certificate.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    with pytest.raises(InputError, match=r"lacks 'kind'.*--from-nodes=evaluate\.certify"):
        Certificate.from_json({k: v for k, v in found.to_json().items() if k != "kind"})


def test_the_text_of_a_certificate_says_bounds_reasons_and_assumptions() -> None:
    text = certificate_text(certified(estimate("preference_model", [0.6, 0.52, 0.455])))
    assert text.startswith(
        "Not certified (judged) at 97.0% joint confidence, 40 test prompts, look 1"
    )
    for words in (
        "Lower bounds, 98.5% one-sided each: harm",
        "of 0.450",
        "Why: short: held, within noise",
        "no other of the judge's is",
    ):
        assert words in text


def test_levels_share_alpha_over_looks_and_thresholds() -> None:
    levels = Levels.of(0.95, 4, Look(2, 5))
    assert levels.each == each_level(levels.joint, 4)
    assert levels.next == each_level(1 - 0.05 * 6 / (math.pi * 6) ** 2, 4)


def test_a_certificate_says_that_divided_groups_do_not_count_as_units() -> None:
    checks = checked(estimate("preference_model", [0.6, 0.55, 0.5]))
    whole, divided = (certificate(checks, divided=count) for count in (0, 2))
    assert not any("several splits" in text for text in whole.assumed)
    (said,) = [text for text in divided.assumed if "several splits" in text]
    assert "2 of the groups in several splits" in said
    assert "taken to be drawn one by one" in said
    assert said in certificate_text(divided)
