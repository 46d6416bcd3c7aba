"""A judge's record on test labels: right, wrong, at chance, and what it never read."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.evaluation.judge_quality import (
    UNCALIBRATED,
    doubt,
    judge_quality,
    read_in_part,
    unknown_words,
)
from mopo_pipeline.evaluation.judge_reach import judge_reach
from mopo_pipeline.judges.pocket import PocketRules
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.preferences.features import WordFeatures
from pocket_world import OBJECTIVES, PleasedJudge, World, world

PARAMS = EvaluateParams(bootstrap=200)
NOBODY = pd.DataFrame({"policy": pd.Series(dtype=str), "completion": pd.Series(dtype=str)})


@pytest.fixture(scope="module")
def given() -> World:
    return world(0)


class Contrary(PocketRules):
    """Prefers whatever the rules do not."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return -super().scores(prompts, responses)


class Indifferent(PocketRules):
    """Sees no difference."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.zeros((len(responses), 3))


def quality(judge: Any, given: World, comparisons: pd.DataFrame | None = None) -> dict[str, Any]:
    pairs = given.comparisons if comparisons is None else comparisons
    return judge_quality(judge, given.responses, pairs, NOBODY, PARAMS, 0)["objectives"]


def test_the_rules_that_made_the_labels_are_right_and_calibrated(given: World) -> None:
    for found in quality(PocketRules(), given).values():
        assert found["comparisons"] == len(given.comparisons)
        assert found["prompts"] == 36
        assert found["accuracy_low"] > 0.6
        assert found["ece"] < 0.06
        assert found["slope_low"] > 0.7
        assert abs(found["ceiling"] - found["ceiling_labels"]) < 0.06
        assert doubt(found) == UNCALIBRATED


def test_a_judge_turned_round_is_wrong_where_the_other_is_right(given: World) -> None:
    right, wrong = (quality(judge, given) for judge in (PocketRules(), Contrary()))
    for name in OBJECTIVES:
        ties = 1.0 - wrong[name]["accuracy"] - right[name]["accuracy"]
        assert abs(ties) < 1e-9
        assert wrong[name]["accuracy_high"] < 0.4
        assert wrong[name]["brier"] > right[name]["brier"] + 0.1
        assert doubt(wrong[name]).startswith("judge right in 2")


def test_a_judge_that_sees_no_difference_is_half_right_and_doubted(given: World) -> None:
    for found in quality(Indifferent(), given).values():
        assert found["accuracy"] == 0.5
        assert found["brier"] == pytest.approx(0.25)
        assert doubt(found) == "judge right in 50% of 864 comparisons"


def test_ties_missing_labels_and_other_splits_do_not_count(given: World) -> None:
    pairs = given.comparisons.copy()
    pairs.loc[:99, "helpfulness"] = 0.5
    pairs.loc[100:149, "helpfulness"] = np.nan
    pairs.loc[500:, "split"] = "validation"
    found = quality(PocketRules(), given, pairs)
    assert found["helpfulness"]["comparisons"] == 350
    assert found["conciseness"]["comparisons"] == 500


def test_few_comparisons_leave_even_a_good_judge_in_doubt(given: World) -> None:
    few = quality(PocketRules(), given, given.comparisons.iloc[::40].iloc[:20])
    assert all(doubt(found).endswith("of 20 comparisons") for found in few.values())


def test_without_test_labels_a_judge_was_never_tried(given: World) -> None:
    none = quality(PocketRules(), given, given.comparisons.assign(split="train"))
    for found in none.values():
        assert found["comparisons"] == 0
        assert found["accuracy"] is None
        assert found["ece"] is None
        assert doubt(found) == "judge never held against labels"


def test_words_that_a_words_model_never_saw_are_counted() -> None:
    from mopo_pipeline.judges.preference import PreferenceModelJudge

    model = PleasedJudge(0.0)
    model.features = WordFeatures(("red", "green", "."))
    judge = PreferenceModelJudge(model, OBJECTIVES)
    answers = pd.DataFrame(
        {
            "policy": ["policy", "policy", "reference"],
            "completion": ["Red blue.", "green", "violet violet violet"],
        }
    )
    assert unknown_words(judge, answers) == pytest.approx(1 / 4)
    assert unknown_words(PocketRules(), answers) is None


class Nearsighted(PocketRules):
    """Reads the first thirty letters."""

    def read_in_part(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        assert len(set(zip(prompts, responses, strict=True))) == len(responses)
        return np.array([len(text) > 30 for text in responses])


def test_texts_a_judge_reads_in_part_are_counted_by_split(given: World) -> None:
    answers = given.responses.rename(columns={"response": "completion"}).assign(policy="policy")
    half = given.responses.assign(split="validation", prompt_id="v" + given.responses["prompt_id"])
    half = half.assign(response_id="v" + half["response_id"])
    responses = pd.concat([given.responses, half[::2]], ignore_index=True)
    judged = Nearsighted(), responses, given.comparisons, answers, PARAMS, 0
    counts = judge_quality(*judged)["read_in_part"]
    for name, table in {
        "validation": half[::2],
        "test": given.responses,
        "answers": given.responses,
    }.items():
        texts = table[["prompt", "response"]].drop_duplicates()["response"]
        assert counts[name] == {"texts": len(texts), "in_part": int((texts.str.len() > 30).sum())}
    assert 0 < counts["test"]["in_part"] < counts["test"]["texts"]
    assert judge_quality(PocketRules(), *judged[1:])["read_in_part"] is None
    of_a_front = answers.assign(response="what the data said")
    assert read_in_part(Nearsighted(), responses, of_a_front) == counts


def test_best_answers_that_win_at_every_prompt_are_not_sure_to_win_at_all() -> None:
    """Six prompts whose first answer wins all of its four comparisons, as the judge says at .9."""
    of = np.repeat([f"p{i}" for i in range(6)], 4)
    pairs = pd.DataFrame(
        {"prompt_id": of, "response_a": of + "a", "response_b": of + "b", "unit": of}
    )
    found = judge_reach(np.full(24, 0.9), np.ones(24), pairs, PARAMS, 0)
    unseen = 1.0 - 0.025 ** (1 / 6)
    assert found["ceiling_labels"] == pytest.approx(1.0)
    assert found["ceiling_labels_low"] == pytest.approx(1.0 - unseen)
    assert found["ceiling_high"] == pytest.approx(0.9 + 0.1 * unseen)
