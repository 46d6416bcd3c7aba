"""Judged values on the scale of the labels, against the pocket task's truth and judges that are wrong by design."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from evaluated import NAMES, PLAN, certificate, checked, estimate, judge
from judged_world import Deaf, Judged, Scaled, everything, judged_world, truth
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.evaluation.checks import best_estimator, threshold_checks
from mopo_pipeline.evaluation.judge_quality import DEPENDENT, UNCALIBRATED, doubt, judge_quality
from mopo_pipeline.evaluation.judge_reach import judge_reach
from mopo_pipeline.evaluation.judge_scale import (
    LEFT_OUT,
    fit_scale,
    on_scale,
    save_left_out,
    score_gaps,
)
from mopo_pipeline.evaluation.judging import (
    evaluation_model,
    fit_evaluation_model,
    judge_completions,
    steered_by,
)
from mopo_pipeline.evaluation.values import judged_values, with_scale_error
from mopo_pipeline.judges.base import Judge
from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.judges.preference import PreferenceModelJudge
from mopo_pipeline.judges.rules import TextRules
from mopo_pipeline.parameters.evaluate import EvaluateParams, JudgeParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag
from mopo_pipeline.parameters.preferences import PreferenceModelParams
from mopo_pipeline.pareto.intervals import prompt_bootstrap
from mopo_pipeline.preferences.features import WordFeatures
from mopo_pipeline.sampling_units import sampling_units
from pocket_world import OBJECTIVES, PleasedJudge

PARAMS = EvaluateParams(bootstrap=400)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return judged_world(3)


def found_by(
    judge: Judge, judged: Judged, comparisons: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Values of the policy by a judge, and the judge's quality."""
    pairs = judged.given.comparisons if comparisons is None else comparisons
    responses = judged.given.responses
    quality = {judge.name: judge_quality(judge, responses, pairs, judged.completions, PARAMS, 0)}
    scores = judge_completions(judged.completions, responses, [judge], quality)
    values = judged_values(
        judged.completions, scores, sampling_units(responses), judge.objectives, PARAMS, 0
    )
    return values.set_index("objective"), quality


def test_a_judge_too_flat_or_too_sharp_gives_the_values_of_one_that_is_neither(
    judged: Judged,
) -> None:
    sharp, _ = found_by(Scaled(1.0), judged)
    for factor in (0.2, 5.0):
        other, quality = found_by(Scaled(factor), judged)
        for column in ("value", "ci_low", "ci_high", "se"):
            np.testing.assert_allclose(other[column], sharp[column], atol=1e-6)
        for name in OBJECTIVES:
            known = quality["rules"]["objectives"][name]["calibration"]
            assert known["scale"] * factor == pytest.approx(1.0, abs=0.15)
            assert known["low"] < known["scale"] < known["high"]
    assert (sharp["ci_low"] < judged.given.truth).all()
    assert (judged.given.truth < sharp["ci_high"]).all()


def test_without_validation_labels_a_flat_judge_is_believed_and_named_uncalibrated(
    judged: Judged,
) -> None:
    pairs = judged.given.comparisons.query("split == 'test'")
    flat, quality = found_by(Scaled(0.2), judged, pairs)
    assert flat.loc["helpfulness", "ci_high"] < judged.given.truth[0] - 0.04
    for name in OBJECTIVES:
        assert doubt(quality["rules"]["objectives"][name]) == UNCALIBRATED


def test_a_judge_that_is_deaf_cannot_tell_whatever_it_says(judged: Judged) -> None:
    values, quality = found_by(Deaf(), judged)
    plan = PLAN.__class__(
        **PLAN.__dict__
        | {"objectives": OBJECTIVES, "thresholds": dict.fromkeys(OBJECTIVES[1:], 0.4)}
    )
    checks = threshold_checks(values.reset_index(), plan, quality)
    assert (values["value"] > 0.4).all()
    assert checks["rules_verdict"].tolist() == ["", "undecided", "undecided"]
    assert checks["rules_doubt"].str.startswith("judge cannot tell").all()
    hearing, quality = found_by(Scaled(0.2), judged)
    checks = threshold_checks(hearing.reset_index(), plan, quality)
    assert not checks["rules_doubt"].any()


def simulated(
    rng: np.random.Generator, labelled: int = 20, prompts: int = 60
) -> dict[str, np.ndarray]:
    """A flat judge's values of the policy, (3,) each, from labels and answers of different prompts."""
    scores, behaviour, policy = everything()
    chosen = rng.permutation(len(scores))[: labelled + prompts]
    gap, labels, codes = [], [], []
    for code, p in enumerate(chosen[:labelled]):
        own = scores[p][rng.choice(72, size=8, p=behaviour[p])]
        first, second = rng.integers(8, size=(2, 5))
        gap.append(own[first] - own[second])
        labels.append(rng.random((5, 3)) < expit(gap[-1]))
        codes += [code] * 5
    gaps, wins = 0.2 * np.concatenate(gap), np.concatenate(labels).astype(float)
    rates = {"value": [], "low": [], "high": []}
    for p in chosen[labelled:]:
        own = scores[p][rng.choice(72, size=8, p=policy[p])]
        other = scores[p][rng.choice(72, size=8, p=behaviour[p])]
        rates["value"].append(0.2 * (own[:, None] - other[None]))
    duels = np.array(rates["value"]).reshape(prompts, 64, 3)
    params = EvaluateParams(bootstrap=400)
    scales, freedom = np.ones((4, 3)), np.ones(3)
    for k in range(3):
        known = fit_scale(
            gaps[..., k], wins[:, k], np.ones(len(wins)), np.array(codes), "logistic", params, 0
        )
        assert known is not None
        scales[:3, k] = known["scale"], known["low"], known["high"]
        freedom[k] = known["freedom"]
    at, low, high, raw = (on_scale(duels, "logistic", scale).mean(axis=1) for scale in scales)
    own, uncalibrated = (
        prompt_bootstrap(
            values, np.ones((prompts, 3)), confidence=0.95, draws=400, rng=np.random.default_rng(0)
        )
        for values in (at, raw)
    )
    whole = with_scale_error(own, np.array([low.mean(axis=0), high.mean(axis=0)]), freedom)
    out = {}
    for name, interval in (("", whole), ("raw_", uncalibrated), ("own_", own)):
        out |= {f"{name}low": interval.low, f"{name}high": interval.high}
    return out


@pytest.mark.slow
def test_calibrated_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Neither the judge at its word nor the calibrated value without the scale's own error does."""
    rng = np.random.default_rng(11)
    runs = [simulated(rng) for _ in range(300)]
    covered = {
        name: np.mean(
            [(r[f"{name}low"] < truth()) & (truth() < r[f"{name}high"]) for r in runs], axis=0
        )
        for name in ("", "raw_", "own_")
    }
    assert (covered[""] > 0.915).all()
    assert (covered[""] < 0.985).all()
    assert 0.93 < covered[""].mean() < 0.975
    assert (
        covered["own_"][[0, 2]] < 0.88
    ).all()  # the other's value is near .5, where no scale matters
    assert covered["raw_"].mean() < 0.5


@pytest.mark.parametrize("right", [0.9, 0.5, 0.1])
def test_a_judge_of_steps_is_worth_what_it_is_right(right: float) -> None:
    rng = np.random.default_rng(0)
    sign = rng.choice([-1.0, 1.0], size=4000)
    labels = np.where(rng.random(4000) < right, sign > 0, sign < 0).astype(float)
    known = fit_scale(3 * sign, labels, np.ones(4000), np.arange(4000) // 10, "step", PARAMS, 0)
    assert known is not None
    assert on_scale(np.array([2.0]), "step", known["scale"])[0] == pytest.approx(right, abs=0.02)
    assert (known["low"] > 0) == (right > 0.5)


def test_weights_count_and_labels_a_judge_never_misses_keep_a_finite_scale() -> None:
    rng = np.random.default_rng(1)
    gap = rng.normal(size=600)
    codes = np.arange(600) // 6
    sure = fit_scale(gap, (gap > 0).astype(float), np.ones(600), codes, "logistic", PARAMS, 0)
    assert sure is not None
    assert 5 < sure["low"] <= sure["scale"] <= sure["high"] < 100
    labels = (rng.random(600) < expit(gap)).astype(float)
    half = np.where(np.arange(600) < 300, 1.0, 0.0)
    part = fit_scale(gap, labels, half, codes, "logistic", PARAMS, 0)
    alone = fit_scale(gap[:300], labels[:300], half[:300], codes[:300], "logistic", PARAMS, 0)
    assert part == alone
    assert fit_scale(gap[:29], labels[:29], half[:29], codes[:29], "logistic", PARAMS, 0) is None
    silent = fit_scale(np.zeros(600), labels, np.ones(600), codes, "logistic", PARAMS, 0)
    assert silent == {"scale": 0.0, "low": 0.0, "high": 0.0, "comparisons": 600, "freedom": None}


def test_a_model_is_calibrated_by_folds_that_never_saw_the_label(tmp_path: Path) -> None:
    """What the folds left out said stands beside the model, whatever the order of the comparisons."""
    judged = judged_world(1, validation=12, test=4, answers=6)
    pairs = judged.given.comparisons
    params = PreferenceModelParams(hidden=4, epochs=2, folds=2)
    metrics = fit_evaluation_model(
        judged.given.responses, pairs, tmp_path / "none", OBJECTIVES, params, 0, tmp_path
    )
    left_out = pd.read_parquet(tmp_path / LEFT_OUT)
    held = pairs.query("split == 'validation'")
    error = expit(left_out["helpfulness"].to_numpy()) - held["helpfulness"].to_numpy()
    assert (error**2).mean() == pytest.approx(metrics["objectives"]["helpfulness"]["brier"])

    model = PreferenceModelJudge(evaluation_model(tmp_path), OBJECTIVES)  # type: ignore[arg-type]
    contrary = np.where(held[list(OBJECTIVES)] > 0.5, -1.0, 1.0) * left_out[[*OBJECTIVES]].abs()
    left_out.assign(**contrary).to_parquet(tmp_path / LEFT_OUT)
    for table in (pairs, pairs.iloc[::-1]):
        found = judge_quality(
            model, judged.given.responses, table, judged.completions, PARAMS, 0, model=tmp_path
        )["objectives"]
        assert all(found[name]["calibration"]["high"] < 0 for name in OBJECTIVES)


def labelled_answers(
    sees: float, compared: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, float]:
    """A judge that sees a part of what people see: predictions, labels, pairs, its true slope."""
    rng = np.random.default_rng(seed)
    prompts, answers = 60, 10
    worth = rng.normal(size=(prompts, answers)) * 1.5
    score = sees * worth + np.sqrt(1 - sees**2) * rng.normal(size=worth.shape)
    a, b = np.triu_indices(answers, 1)
    rows = np.concatenate([p * len(a) + rng.permutation(len(a))[:compared] for p in range(prompts)])
    people, judge = (expit(v[:, a] - v[:, b]).ravel()[rows] for v in (worth, score))
    ids = np.repeat(np.arange(prompts), len(a))[rows]
    sides = [
        np.array([f"{p}/{x}" for p, x in zip(ids, np.tile(s, prompts)[rows], strict=True)])
        for s in (a, b)
    ]
    pairs = pd.DataFrame(
        {"prompt_id": ids, "unit": ids, "response_a": sides[0], "response_b": sides[1]}
    )
    labels = (rng.random(len(rows)) < people).astype(float)
    every = [expit(v[:, :, None] - v[:, None, :]).mean(axis=2) - 0.5 for v in (worth, score)]
    return judge, labels, pairs, float((every[0] * every[1]).sum() / (every[0] ** 2).sum())


@pytest.mark.parametrize("sees", [0.9, 0.4, 0.0])
@pytest.mark.parametrize("compared", [45, 15])
def test_the_slope_is_that_of_true_win_rates_however_few_labels_an_answer_has(
    sees: float, compared: int
) -> None:
    """The plain regression on labelled win rates is flattened by their noise."""
    judge, labels, pairs, slope = labelled_answers(sees, compared)
    found = judge_reach(judge, labels, pairs, PARAMS, 0)
    assert found["slope"] == pytest.approx(slope, abs=0.08)
    assert found["slope_low"] < slope < found["slope_high"]  # type: ignore[operator]
    if sees == 0.9 and compared == 15:
        sides = pd.concat(
            [
                pd.DataFrame({"id": pairs["response_a"], "l": labels, "j": judge}),
                pd.DataFrame({"id": pairs["response_b"], "l": 1 - labels, "j": 1 - judge}),
            ]
        )
        mean = sides.groupby("id").mean() - 0.5
        plain = (mean["l"] * mean["j"]).sum() / (mean["l"] ** 2).sum()
        assert plain < slope - 0.1


def test_the_best_answers_are_worth_what_other_labels_say_not_those_that_chose_them() -> None:
    judge, labels, pairs, _ = labelled_answers(0.95, 45)
    found = judge_reach(judge, labels, pairs, PARAMS, 0)
    exact = expit(judge * 0)[:1]  # a judge that sees nothing says .5 of any answer
    assert found["ceiling"] == pytest.approx(found["ceiling_labels"], abs=0.1)
    assert found["ceiling"] > 0.7  # type: ignore[operator]
    random = np.random.default_rng(2).integers(2, size=len(labels)).astype(float)
    blind = judge_reach(np.full(len(labels), 0.5), random, pairs, PARAMS, 0)
    assert blind["ceiling"] == pytest.approx(float(exact[0]))
    assert blind["ceiling_labels"] == pytest.approx(0.5, abs=0.06)
    assert blind["slope"] is None


def test_answers_compared_once_leave_slope_and_ceiling_unknown() -> None:
    judge, labels, pairs, _ = labelled_answers(0.9, 1)
    found = judge_reach(judge, labels, pairs, PARAMS, 0)
    assert set(found.values()) == {None}
    none = judge_reach(judge[:0], labels[:0], pairs.iloc[:0], PARAMS, 0)
    assert set(none.values()) == {None}


GOOD = [0.6, 0.52, 0.47]


def test_a_threshold_between_the_judge_s_ceiling_and_the_labels_is_undecided() -> None:
    low = judge(
        ceiling=0.49,
        ceiling_low=0.48,
        ceiling_high=0.495,
        ceiling_labels=0.7,
        ceiling_labels_low=0.66,
    )
    found = checked(estimate("rules", GOOD), judges={"rules": low}).set_index("objective")
    assert found["rules_verdict"].to_dict() == {"help": "", "harm": "undecided", "short": "held"}
    assert found.loc["harm", "rules_doubt"] == (
        "judge cannot tell: the best answers, worth 0.700 by test labels, are worth 0.490 to it"
    )
    assert found.loc["harm", ["rules_ceiling", "rules_slope"]].tolist() == [0.49, 0.8]
    rare = {"rules": low["objectives"]["harm"] | {"ceiling_labels_low": 0.49}}
    people = checked(
        estimate("rules", GOOD),
        judges={"rules": {"objectives": dict.fromkeys(NAMES, rare["rules"])}},
    )
    assert people["rules_verdict"].tolist()[1] == "held"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"slope": 0.13, "slope_low": 0.07, "slope_high": 0.19},
            "judge cannot tell: a gain of 1 by test labels is one of 0.13 [0.07, 0.19] to it",
        ),
        (
            {"calibration": {"scale": 0.02, "low": -0.01, "high": 0.05, "comparisons": 90}},
            "judge cannot tell: its scale on 90 validation labels is 0.02 [-0.01, 0.05]",
        ),
    ],
)
def test_a_judge_whose_word_does_not_rise_with_the_labels_decides_nothing(
    changes: dict[str, Any], said: str
) -> None:
    blind = {"rules": judge(**changes)}
    found = checked(estimate("rules", GOOD), judges=blind)
    assert found["rules_verdict"].tolist() == ["", "undecided", "undecided"]
    assert found["rules_doubt"].tolist() == [said] * 3
    both = checked(
        estimate("rules", GOOD), estimate("doubly_robust", GOOD, effective=90.0), judges=blind
    )
    assert best_estimator(both) == "doubly_robust"
    assert best_estimator(found) == "rules"


def test_rules_without_any_labels_are_taken_at_their_word() -> None:
    responses = pd.DataFrame(
        {
            "prompt_id": ["p", "p"],
            "response_id": ["a", "b"],
            "prompt": ["[]"] * 2,
            "response": ["one two", "one"],
            "split": "test",
        }
    )
    pairs = pd.DataFrame(
        {
            "prompt_id": [],
            "response_a": [],
            "response_b": [],
            "split": [],
            "brevity": [],
            "brevity_weight": [],
        }
    )
    answers = pd.DataFrame(
        {
            "prompt_id": ["p"],
            "prompt": ["[]"],
            "completion": ["two words"],
            "policy": ["policy"],
            "completion_id": ["c"],
        }
    )
    rules = TextRules(("brevity",))
    quality = {"rules": judge_quality(rules, responses, pairs, answers, PARAMS, 0)}
    assert quality["rules"]["objectives"]["brevity"]["calibration"] is None
    found = judge_completions(answers, responses, [rules], quality)
    assert found["brevity_win_rate"].tolist() == [0.25]


def test_the_model_that_trained_the_policy_certifies_nothing(tmp_path: Path) -> None:
    """Where the primary alone lacks validation labels it judges in place of one of its own; labels vouch for the rest."""
    made, small = judged_world(3), judged_world(1, validation=12, test=4, answers=6)
    responses, pairs = made.given.responses, made.given.comparisons
    unlabelled = pairs.copy()
    unlabelled.loc[unlabelled["split"] == "validation", OBJECTIVES[0]] = np.nan
    params, own, trainer, stood_in = (
        PreferenceModelParams(hidden=4, epochs=2, folds=2),
        *(tmp_path / name for name in ("own", "trainer", "stood in")),
    )
    fit_evaluation_model(
        small.given.responses, small.given.comparisons, own, OBJECTIVES, params, 0, trainer
    )
    fit_evaluation_model(responses, unlabelled, trainer, OBJECTIVES, params, 0, stood_in)
    fair = PleasedJudge(0.0)
    fair.features = WordFeatures(("red",))
    able = PreferenceModelJudge(fair, OBJECTIVES)
    validation = pairs.loc[pairs["split"] == "validation"]
    own.mkdir()
    save_left_out(expit(score_gaps(able, responses, validation)), validation, OBJECTIVES, own)
    low = dict.fromkeys(OBJECTIVES[1:], 0.2)
    plan = replace(PLAN, objectives=OBJECTIVES, thresholds=low, targets=low)

    def certified(labels: pd.DataFrame, directory: Path) -> Certificate:
        quality = judge_quality(
            able, responses, labels, made.completions, PARAMS, 0, model=directory
        )
        judges = {able.name: quality}
        scores = judge_completions(made.completions, responses, [able], judges)
        values = judged_values(
            made.completions, scores, sampling_units(made.given.responses), OBJECTIVES, PARAMS, 0
        )
        return certificate(threshold_checks(values, plan, judges), plan)

    assert certified(pairs, own).verdict == "certified"
    refused = certified(unlabelled, stood_in)
    assert (refused.verdict, refused.kind) == ("not certified", "judged")
    for entry in refused.thresholds:
        assert (entry.verdict, entry.doubt) == ("held", DEPENDENT)
        assert "label validation comparisons of every objective" in entry.helps[0]


def test_answers_that_are_all_malformed_lose_every_comparison_and_miss(judged: Judged) -> None:
    """They do not vary either: no spread is no certainty that they hold."""
    garbage = replace(judged, completions=judged.completions.assign(completion="no no no"))
    values, quality = found_by(PocketRules(), garbage)
    low = dict.fromkeys(OBJECTIVES[1:], 0.4)
    plan = replace(PLAN, objectives=OBJECTIVES, thresholds=low, targets=low)
    found = certificate(threshold_checks(values.reset_index(), plan, quality), plan)
    assert found.verdict == "not certified"
    assert [entry.verdict for entry in found.thresholds] == ["missed", "missed"]
    assert max(entry.value or 0.0 for entry in found.thresholds) < 1e-6


def test_a_judge_that_gives_no_number_is_named_with_the_answer(judged: Judged) -> None:
    class Breathless(PocketRules):
        def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
            found = super().scores(prompts, responses)
            return np.where(np.array(responses)[:, None] == answer, np.nan, found)

    answer = judged.completions["completion"].iloc[5]
    with pytest.raises(InputError, match="gave nan for objective 'helpfulness' on the answer"):
        judge_completions(judged.completions, judged.given.responses, [Breathless()], {})


def test_a_reward_model_that_steered_the_policy_is_no_independent_judge(judged: Judged) -> None:
    """Rules are the objectives themselves; another reward model is another witness."""
    judge, other = PocketRules(), FreshLag(judge="reward_models", reward_models={"a": "org/y"})
    params = JudgeParams(reward_models={"a": "org/x"})
    lag = other.model_copy(update={"reward_models": {"a": "org/x"}})
    assert not steered_by(judge, params, lag)
    judge.name = "reward_models"
    assert [steered_by(judge, params, given) for given in (lag, other, NoLag())] == [
        True,
        False,
        False,
    ]
    given = judged.given.responses, judged.given.comparisons, judged.completions
    for steered in (True, False):
        found = judge_quality(judge, *given, PARAMS, 0, steered=steered)["objectives"]
        assert (doubt(found[OBJECTIVES[1]]) == DEPENDENT) == steered
