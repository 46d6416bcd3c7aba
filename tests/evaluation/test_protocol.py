"""Wins against the reference's own answers, with intervals over prompts, and how far judges agree."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.evaluation.protocol import duels, protocol
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.tables import chat_prompt

PARAMS = EvaluateParams(bootstrap=200)
UNITS = pd.Series({"p": "p", "q": "q"})
OBJECTIVES = ("long", "short")


class Lengths:
    """The longer answer wins on one objective and loses on the other."""

    name, objectives, link = "rules", OBJECTIVES, "step"

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        raise AssertionError("scores are known; nobody is asked again")


class Compares:
    """Prefers what begins with a, by a log-odds of 2."""

    name, objectives, link, opponents = "chat", OBJECTIVES, "logistic", 1

    def differences(self, prompts: list[str], first: list[str], second: list[str]) -> np.ndarray:
        gap = [
            2.0 * (a.startswith("a") - b.startswith("a"))
            for a, b in zip(first, second, strict=True)
        ]
        return np.column_stack([gap, gap])


def quality(scale: float | None = None) -> dict[str, Any]:
    record = {"accuracy": 0.7, "accuracy_low": 0.6, "accuracy_high": 0.8, "comparisons": 50}
    known = None if scale is None else {"scale": scale, "low": scale, "high": scale}
    objectives = {name: record | {"calibration": known} for name in OBJECTIVES}
    order = {name: {"first_place": 0.6, "contradicted": 0.1} for name in OBJECTIVES}
    return {"objectives": objectives, "order": order if scale else None}


def completions() -> pd.DataFrame:
    """Two prompts, two answers each: the policy's longer in three of four duels."""
    said = {
        "policy": {"p": ["aaaa", "bbb"], "q": ["a", "bbbb"]},
        "reference": {"p": ["b", "bb"], "q": ["bb", "a"]},
    }
    rows = [
        (prompt, f"{policy}-{prompt}-{i}", policy, chat_prompt(prompt), text)
        for policy, prompts in said.items()
        for prompt, texts in prompts.items()
        for i, text in enumerate(texts)
    ]
    return pd.DataFrame(
        rows, columns=["prompt_id", "completion_id", "policy", "prompt", "completion"]
    )


def scored(table: pd.DataFrame) -> pd.DataFrame:
    size = table["completion"].str.len().astype(float)
    own = table[["completion_id"]].assign(judge="rules", long=size, short=-size)
    return pd.concat([own, own.assign(judge="chat", long=0.0, short=0.0)])


def found() -> tuple[pd.DataFrame, dict[str, Any]]:
    table = completions()
    known = {"rules": quality(), "chat": quality(scale=1.0)}
    met = duels(table, scored(table), [Lengths(), Compares()], known, UNITS)  # type: ignore[list-item]
    return met, protocol(met, OBJECTIVES, known, PARAMS, seed=0)


def test_answers_of_one_number_meet_and_every_judge_says_who_is_better() -> None:
    met, _ = found()
    rules = met.loc[met["judge"] == "rules"].set_index("completion_id")
    assert rules["opponent_id"].to_dict() == {
        f"policy-{p}-{i}": f"reference-{p}-{i}" for p in "pq" for i in range(2)
    }
    assert rules["long"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert rules["short"].tolist() == [0.0, 0.0, 1.0, 0.0]
    chat = met.loc[met["judge"] == "chat", "long"].to_numpy()
    sure = 1 / (1 + np.exp(-2))
    assert chat == pytest.approx([sure, 0.5, sure, 1 - sure])


def test_win_rates_come_with_intervals_over_prompts_and_the_judge_s_record() -> None:
    _, told = found()
    assert (told["prompts"], told["samples"], told["temperature"]) == (2, 8, 1.0)
    first = told["against_reference"][0]
    assert (first["judge"], first["objective"], first["value"]) == ("rules", "long", 0.75)
    assert first["low"] <= 0.75 <= first["high"]
    assert first["prompts"] == 2
    assert first["labels"]["accuracy"] == 0.7
    assert first["first_place"] is None
    assert told["against_reference"][2]["first_place"] == 0.6


def test_two_judges_agree_in_the_share_of_duels_that_both_decide_alike() -> None:
    """Alike, half, contrary, contrary."""
    _, told = found()
    both = {row["objective"]: row["value"] for row in told["agreement"]}
    assert both == {"long": pytest.approx((1 + 0.5) / 4), "short": pytest.approx((0.5 + 2) / 4)}
    assert told["agreement"][0]["judges"] == ["rules", "chat"]


def test_intervals_are_over_what_was_drawn_as_one_and_not_over_answers() -> None:
    """Ten documents of forty alike prompts each say what ten documents of one prompt say."""
    rng = np.random.default_rng(0)
    won = rng.integers(2, size=10).astype(float)

    def width(each: int) -> float:
        rows = pd.DataFrame(
            {
                "unit": np.repeat([f"u{i}" for i in range(10)], each),
                "prompt_id": [f"p{i}" for i in range(10 * each)],
                "completion_id": [f"c{i}" for i in range(10 * each)],
                "opponent_id": "o",
                "judge": "rules",
                "long": np.repeat(won, each),
            }
        )
        told = protocol(rows, ("long",), {"rules": quality()}, PARAMS, seed=0)
        (row,) = told["against_reference"]
        return float(row["high"] - row["low"])

    assert width(40) == pytest.approx(width(1))


def test_without_judges_there_is_no_table() -> None:
    met = duels(completions(), scored(completions()), [], {}, UNITS)
    told = protocol(met, OBJECTIVES, {}, PARAMS, seed=0)
    assert told["against_reference"] == told["agreement"] == []
