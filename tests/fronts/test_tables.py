"""Rows of fronts from policies whose worth is known."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.candidates import Candidate
from mopo_pipeline.fronts.tables import NO_NUMBERS, front_tables
from mopo_pipeline.fronts.values import Ground
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.pocket import task as pocket
from mopo_pipeline.policies.valued import Budget

PROMPTS = pocket.prompts()[::40]


class Tilted:
    """The behaviour policy tilted towards a score, its answers the most likely ones."""

    def __init__(self, *likes: float) -> None:
        self.likes = np.array(likes)

    def table(self, prompt: str) -> np.ndarray:
        logits = np.log(pocket.behaviour(prompt)) + pocket.scores(prompt) @ self.likes
        return logits - np.log(np.exp(logits).sum())

    def answer_logprobs(self, prompts: list[str], texts: list[str]) -> np.ndarray:
        place = {answer: i for i, answer in enumerate(pocket.answers())}
        return np.array(
            [self.table(p)[place[pocket.parse(p, t)]] for p, t in zip(prompts, texts, strict=True)]
        )  # type: ignore[index]

    def sample(self, prompts: list[str], *, n: int, **_: Any) -> list[list[Answer]]:
        texts = pocket.exact_problem(prompts).texts
        size = len(pocket.answers())
        best = [texts[i * size + int(self.table(p).argmax())] for i, p in enumerate(prompts)]
        return [[Answer(text, True)] * n for text in best]


@pytest.fixture(scope="module")
def ground() -> Ground:
    asked = pd.DataFrame({"prompt_id": [f"p{i}" for i in range(len(PROMPTS))], "prompt": PROMPTS})
    return Ground(
        asked,
        pd.DataFrame({"source": ["pocket"]}),
        asked["prompt_id"],
        pocket.OBJECTIVES,
        EvaluateParams(bootstrap=100),
        0,
        Tilted(0, 0, 0),
        judge_named("pocket", pocket.OBJECTIVES),
        {},
        40,
        2,
    )


def candidates() -> list[Candidate]:
    done = Candidate(
        "mopo",
        "trained",
        "a",
        0,
        Tilted(0.5, 0.2, 0.0),
        planned={"threshold_harmlessness": 0.4},
        hyperparameters={"steps": 3},
        spent=Budget(7, 8, 9, 1.5),
        certified="certified",
    )
    lost = Candidate("rival", "trained", "b", 0, None, "failed", "the loss became nan")
    return [done, lost, Candidate("reference", "trained", "reference", 0, Tilted(0, 0, 0))]


def test_values_of_a_policy_are_its_own_expectation_over_all_answers(ground: Ground) -> None:
    points, values, _ = front_tables(candidates(), ground)
    policy = Tilted(0.5, 0.2, 0.0)
    expected = [np.exp(policy.table(p)) @ pocket.exact_win_rates(p) for p in PROMPTS]
    own = values.loc[values["method"] == "mopo", list(pocket.OBJECTIVES)]
    np.testing.assert_allclose(own, expected, atol=1e-12)
    row = points.set_index("method").loc["mopo"]
    np.testing.assert_allclose(
        [row[f"value_{n}"] for n in pocket.OBJECTIVES], np.mean(expected, axis=0)
    )
    kl = [
        np.exp(policy.table(p)) @ (policy.table(p) - np.log(pocket.behaviour(p))) for p in PROMPTS
    ]
    assert row["kl"] == pytest.approx(np.mean(kl))
    assert row["well_formed"] == pytest.approx(1.0)
    assert (row["sequences"], row["generated_tokens"], row["judge_calls"], row["seconds"]) == (
        7,
        8,
        9,
        1.5,
    )
    assert json.loads(row["hyperparameters"]) == {"steps": 3}


def test_the_reference_stands_at_one_half_and_has_left_nothing(ground: Ground) -> None:
    row = front_tables(candidates(), ground)[0].set_index("method").loc["reference"]
    assert [row[f"value_{n}"] for n in pocket.OBJECTIVES] == pytest.approx([0.5] * 3)
    assert row["kl"] == pytest.approx(0.0, abs=1e-12)


def test_a_failed_point_stays_with_its_reason_and_without_values(ground: Ground) -> None:
    points, values, samples = front_tables(candidates(), ground)
    row = points.set_index("method").loc["rival"]
    assert (row["status"], row["reason"]) == ("failed", "the loss became nan")
    assert np.isnan([row[f"value_{n}"] for n in pocket.OBJECTIVES]).all()
    assert "rival" not in {*values["method"], *samples["method"]}


def test_answers_stand_beside_the_reference_s_with_their_scores(ground: Ground) -> None:
    samples = front_tables(candidates(), ground)[2]
    assert len(samples) == 2 * 2
    both = samples.set_index(["method", "prompt_id"])
    for prompt_id, prompt in zip(("p0", "p1"), PROMPTS, strict=False):
        row = both.loc[("mopo", prompt_id)]
        assert row["reference_response"] == both.loc[("reference", prompt_id), "response"]
        place = pocket.answers().index(pocket.parse(prompt, row["response"]))  # type: ignore[arg-type]
        found = [row[f"score_{n}"] for n in pocket.OBJECTIVES]
        assert found == pytest.approx(pocket.scores(prompt)[place])


def test_a_policy_whose_values_are_no_numbers_is_a_failed_point(ground: Ground) -> None:
    broken = Candidate("rival", "trained", "c", 0, Tilted(np.nan, 0, 0))
    points, values, samples = front_tables([*candidates(), broken], ground)
    row = points.set_index("point").loc["c"]
    assert (row["status"], row["reason"]) == ("failed", NO_NUMBERS)
    assert "rival" not in {*values["method"], *samples["method"]}
    with pytest.raises(InputError, match=NO_NUMBERS):
        front_tables([broken], ground)


def test_a_front_of_failures_alone_says_why(ground: Ground) -> None:
    with pytest.raises(
        InputError, match="no policy of the front was trained: b, the loss became nan"
    ):
        front_tables(candidates()[1:2], ground)


def test_a_prompt_asked_twice_under_one_unit_tells_no_more_than_once(ground: Ground) -> None:
    def width(of: Ground) -> float:
        row = front_tables(candidates(), of)[0].iloc[0]
        return float(row["high_helpfulness"] - row["low_helpfulness"])

    twice = pd.concat([ground.asked, ground.asked.assign(prompt_id=lambda t: t["prompt_id"] + "b")])
    twice = twice.reset_index(drop=True)
    counted = replace(ground, asked=twice, units=twice["prompt_id"])
    as_one = replace(ground, asked=twice, units=twice["prompt_id"].str.rstrip("b"))
    assert width(as_one) == pytest.approx(width(ground), abs=1e-12)
    assert width(counted) < 0.8 * width(ground)


def test_prompts_that_all_agree_leave_an_interval_and_a_kl_of_nothing_does_not(
    ground: Ground,
) -> None:
    """Each prompt of the reference wins one half; a share 1 - alpha^(1/P) of all prompts may say otherwise."""
    points, *_ = front_tables(candidates(), ground)
    row = points.set_index("method").loc["reference"]
    unseen = 1.0 - 0.025 ** (1.0 / len(PROMPTS))
    low, high = (row[f"{end}_helpfulness"] for end in ("low", "high"))
    assert (low, high) == (pytest.approx(0.5 - 0.5 * unseen), pytest.approx(0.5 + 0.5 * unseen))
    assert row["kl_high"] == pytest.approx(0.0, abs=1e-12)
