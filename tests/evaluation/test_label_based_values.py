"""Values from test labels against the pocket task's exact ones, with wrong versions beside."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation import values, within_prompts
from mopo_pipeline.evaluation.reweighting import (
    comparison_terms,
    effective_comparisons,
    importance_ratio,
    mean_ratio,
)
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.tables import weight_columns
from pocket_world import OBJECTIVES, PleasedJudge, World, world

PARAMS = EvaluateParams(bootstrap=200)
WRONG = 0.7
SEEDS = 12


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [world(seed) for seed in range(SEEDS)]


def robust(given: World, judge: PleasedJudge | None, **changes: Any) -> pd.DataFrame:
    tables = {"comparisons": given.comparisons, "logprobs": given.logprobs} | changes
    found, _ = values.doubly_robust_values(
        given.responses, tables["comparisons"], tables["logprobs"], judge, OBJECTIVES, PARAMS, 0
    )
    return found


def labelled(given: World, **changes: Any) -> pd.DataFrame:
    tables = {"comparisons": given.comparisons, "logprobs": given.logprobs} | changes
    return within_prompts.label_values(
        given.responses, tables["comparisons"], tables["logprobs"], OBJECTIVES, PARAMS, 0
    )


def errors(found: list[pd.DataFrame], worlds: list[World]) -> np.ndarray:
    """Mean error of each objective in standard errors of the mean, (3,)."""
    each = np.array([f["value"] - w.truth for f, w in zip(found, worlds, strict=True)])
    return np.abs(each.mean(axis=0)) / (each.std(axis=0, ddof=1) / np.sqrt(len(each)))


def flipped(*given: Any) -> np.ndarray:
    """The terms with the correction's sign turned: model plus the model's error."""
    first, second, labels, ratio, win_rates, predicted = given
    return comparison_terms(first, second, 2 * predicted - labels, ratio, win_rates, predicted)


def swapped(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The two sides exchanged, the labels left as they are."""
    return comparisons.rename(columns={"response_a": "response_b", "response_b": "response_a"})


def test_labels_correct_a_judge_that_is_pleased_by_the_policy(worlds: list[World]) -> None:
    found = [robust(w, PleasedJudge(WRONG)) for w in worlds]
    assert errors(found, worlds).max() < 4


def test_the_correction_with_its_sign_turned_is_told_apart(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "comparison_terms", flipped)
    found = [robust(w, PleasedJudge(WRONG)) for w in worlds]
    assert errors(found, worlds).min() > 8


@pytest.mark.parametrize("estimate", [robust, labelled])
def test_exchanged_sides_are_told_apart(worlds: list[World], estimate: Any) -> None:
    given = {"judge": None} if estimate is robust else {}
    right = [estimate(w, **given) for w in worlds]
    wrong = [estimate(w, **given, comparisons=swapped(w.comparisons)) for w in worlds]
    assert errors(right, worlds).max() < 4
    assert errors(wrong, worlds)[[0, 2]].min() > 8


def test_labels_within_each_prompt_need_no_judge(worlds: list[World]) -> None:
    found = [labelled(w) for w in worlds]
    assert errors(found, worlds).max() < 4
    assert pd.concat(found)["value"].between(0, 1).all()


def test_intervals_of_both_hold_the_truth(worlds: list[World]) -> None:
    for estimate in (lambda w: robust(w, PleasedJudge(WRONG)), labelled):
        hits = [
            (f["ci_low"] <= w.truth) & (w.truth <= f["ci_high"])
            for f, w in ((estimate(w), w) for w in worlds)
        ]
        assert np.mean(hits) > 0.85


def test_a_policy_that_is_the_reference_is_as_good_as_the_data(worlds: list[World]) -> None:
    same = worlds[0].logprobs.assign(logprob_policy=0.0)
    for found in (robust(worlds[0], None, logprobs=same), labelled(worlds[0], logprobs=same)):
        np.testing.assert_allclose(found["value"], 0.5, atol=0.03)
    assert (robust(worlds[0], None, logprobs=same)["value"] == 0.5).all()


def test_policy_and_reference_are_not_interchangeable(worlds: list[World]) -> None:
    turned = [
        w.logprobs.rename(
            columns={
                "logprob_policy": "logprob_reference",
                "logprob_reference": "logprob_policy",
            }
        )
        for w in worlds
    ]
    found = [labelled(w, logprobs=t) for w, t in zip(worlds, turned, strict=True)]
    assert errors(found, worlds)[0] > 8


def test_a_missing_label_is_no_label_and_a_weight_of_two_is_two(worlds: list[World]) -> None:
    pairs = worlds[0].comparisons
    kept = np.arange(len(pairs)) % 3 > 0
    missing = pairs.assign(helpfulness=pairs["helpfulness"].where(kept))
    twice = pd.concat([pairs, pairs[kept]])
    for estimate in (
        lambda c: robust(worlds[0], None, comparisons=c),
        lambda c: labelled(worlds[0], comparisons=c),
    ):
        gone = estimate(pairs[kept])["value"][0]
        assert estimate(missing)["value"][0] == pytest.approx(gone)
        weights = dict.fromkeys(weight_columns(OBJECTIVES), np.where(kept, 2.0, 1.0))
        double = pairs.assign(**weights)
        np.testing.assert_allclose(estimate(double)["value"], estimate(twice)["value"])


def test_one_answer_that_carries_the_weight_counts_as_one(worlds: list[World]) -> None:
    """Its many comparisons are one observation of the policy."""
    given = worlds[0]
    far = given.logprobs.assign(logprob_policy=-50.0)
    far.loc[3, "logprob_policy"] = 0.0
    assert robust(given, None, logprobs=far)["effective"].max() < 2
    plain = robust(given, None)["effective"]
    assert plain.between(100, len(given.comparisons)).all()
    assert labelled(given, logprobs=far)["effective"].min() > 30


def test_effective_comparisons_are_those_of_equal_weight() -> None:
    first, second = np.arange(6), np.arange(6, 12)
    even = np.full((6, 1), 0.3)
    assert effective_comparisons(first, second, even, even, 12)[0] == pytest.approx(6)
    half = even * (np.arange(6) < 3)[:, None]
    assert effective_comparisons(first, second, half, half, 12)[0] == pytest.approx(3)
    assert effective_comparisons(first, second, 0 * even, 0 * even, 12)[0] == 0


def test_an_estimate_above_one_is_shown_clipped_without_an_interval() -> None:
    """Two answers of weight one that won against a sure model, the rest without weight."""
    given = world(1, prompts=2, answers=8, pairs=6)
    logprobs = given.logprobs.assign(logprob_policy=-60.0)
    [favourite] = given.comparisons["response_a"].iloc[[0]]
    logprobs.loc[logprobs["response_id"] == favourite, "logprob_policy"] = 0.0
    pairs = given.comparisons.copy()
    wins = pairs["response_a"] == favourite
    pairs.loc[wins, "helpfulness"] = 1.0
    pairs.loc[pairs["response_b"] == favourite, "helpfulness"] = 0.0

    class Blind(PleasedJudge):
        """Ranks the favourite above its prompt's mean and below whom it met."""

        def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
            ids = given.responses["response_id"].tolist()
            met = set(pairs.loc[wins, "response_b"])
            return np.array(
                [[3.0 if i in met else 0.0 if i == favourite else -3.0] * 3 for i in ids]
            )

    found, facts = values.doubly_robust_values(
        given.responses, pairs, logprobs, Blind(0.0), OBJECTIVES, PARAMS, 0
    )
    assert facts["outside"]["helpfulness"] > 1.0
    assert found["value"][0] == 1.0
    assert found.loc[0, ["se", "ci_low", "ci_high"]].isna().all()


def test_ratios_are_clipped_as_in_training() -> None:
    """exp(5) > 20 counts as 20, exp(-1) as it is."""
    found = importance_ratio(np.array([5.0, -1.0, 0.0]), 20.0)
    np.testing.assert_allclose(found, np.array([20.0, np.exp(-1), 1.0]) * 3 / (21 + np.exp(-1)))
    assert np.isfinite(importance_ratio(np.full(3, -900.0), 20.0)).all()


def test_the_mean_ratio_is_one_where_the_reference_drew_the_data_and_more_where_it_lags() -> None:
    """A policy of twice the odds on half of what was drawn; then a reference that finds all of it half as likely."""
    rng, told = np.random.default_rng(0), {}
    units = np.repeat(np.arange(400), 4)
    tilt = np.where(rng.random(1600) < 0.5, np.log(4 / 3), np.log(2 / 3))
    for name, lag in (("drawn", 0.0), ("behind", np.log(2.0))):
        drawing = {"confidence": 0.95, "draws": 400, "rng": np.random.default_rng(1)}
        told[name] = mean_ratio(tilt + lag, units, 20.0, **drawing)
    _, low, high = told["drawn"]
    assert low < 1.0 < high
    assert high - low < 0.05
    np.testing.assert_allclose(told["behind"], 2 * np.array(told["drawn"]), rtol=0.01)
    assert mean_ratio(np.full(8, 9.0), np.arange(8), 20.0, **drawing)[0] == pytest.approx(20.0)


def test_a_response_without_a_log_probability_is_named(worlds: list[World]) -> None:
    lost = worlds[0].logprobs.drop(index=5)
    name = worlds[0].logprobs["response_id"].iloc[5]
    with pytest.raises(InputError, match=f"response '{name}' has a log-ratio of nan"):
        labelled(worlds[0], logprobs=lost)


def test_without_test_comparisons_nothing_is_said(worlds: list[World]) -> None:
    none = worlds[0].comparisons.assign(split="train")
    assert labelled(worlds[0], comparisons=none).empty
    assert robust(worlds[0], None, comparisons=none).empty
