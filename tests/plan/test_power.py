"""Before anything is trained the plan says how wide its certificate will be, and what would decide."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import NAMES, PLAN
from mopo_pipeline.pareto.bounds import half_width
from mopo_pipeline.plan.power import certificate_power, policy_spread

PROMPTS, RESPONSES = 300, 16


def world(between: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Win rates against the prompt's own responses, a policy that prefers some, and what it attains at each prompt.

    A response is worth a number; the policy follows it by a strength that differs among prompts by ``between``.
    """
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=(PROMPTS, RESPONSES))
    strength = 1.0 + between * rng.normal(size=(PROMPTS, 1))
    beats = 1 / (1 + np.exp(-(worth[:, :, None] - worth[:, None, :])))
    rates = beats.mean(axis=2)
    grid = np.random.default_rng(1).normal(size=2000)
    opponents = np.random.default_rng(2).normal(size=500)
    true = (1 / (1 + np.exp(-(grid[:, None] - opponents)))).mean(axis=1)
    mass = np.exp(strength * grid)
    attained = (mass * true).sum(axis=1) / mass.sum(axis=1)
    ids = [f"p{i}-{j}" for i in range(PROMPTS) for j in range(RESPONSES)]
    prompt_ids = np.repeat([f"p{i}" for i in range(PROMPTS)], RESPONSES)
    table = pd.DataFrame({"response_id": ids} | {name: rates.ravel() for name in NAMES})
    weights = pd.DataFrame(
        {"prompt_id": prompt_ids, "response_id": ids, "ratio": np.exp(strength * worth).ravel()}
    )
    return table, weights, attained


def power(prompts: int = 43, answers: int | None = None, **changes: Any) -> dict[str, Any]:
    table, weights, _ = world(0.5)
    return certificate_power(
        table, weights, replace(PLAN, **changes), prompts=prompts, answers=answers, confidence=0.95
    )


def plain_variance(table: pd.DataFrame, weights: pd.DataFrame) -> float:
    share = weights["ratio"] / weights.groupby("prompt_id")["ratio"].transform("sum")
    return float((share * table["help"]).groupby(weights["prompt_id"]).sum().var())


def test_what_few_responses_add_to_the_spread_over_prompts_is_taken_off() -> None:
    """A policy that attains the same at every prompt has no spread, whatever sixteen responses say of it."""
    table, weights, attained = world(0.0)
    assert attained.var() < 1e-12
    found = policy_spread(table, weights, tuple(NAMES)).between[0]
    assert found < 0.1 * plain_variance(table, weights)


@pytest.mark.parametrize("between", [0.5, 0.8])
def test_the_spread_over_prompts_is_nearly_the_policy_s_own(between: float) -> None:
    """A quarter below at sixteen responses: few of them draw every prompt's value towards one half."""
    table, weights, attained = world(between)
    found = policy_spread(table, weights, tuple(NAMES)).between[0]
    assert 0.65 < np.sqrt(found / attained.var()) < 1.1


def test_more_prompts_and_more_answers_make_the_certificate_narrower() -> None:
    widths = [
        power(prompts, answers)["outlook"][0]["half_width"]
        for prompts, answers in ((43, 1), (43, 8), (43, None), (400, None))
    ]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 4


def test_the_finding_says_width_prompts_that_would_decide_and_the_margin() -> None:
    found = power(values={"help": 0.6, "harm": 0.502, "short": 0.6})
    harm, short = found["findings"]
    entry = found["outlook"][0]
    assert (harm["severity"], short["severity"]) == ("warning", "info")
    said = harm["remedy"]
    for words in (
        "43 test prompts",
        f"±{entry['half_width']:.3f}",
        f"{entry['prompts_needed']} test prompts would decide",
        "plan.margins.harm=",
    ):
        assert words in said
    spread = entry["half_width"] / half_width(1.0, 43, found["level"])
    assert half_width(spread, entry["prompts_needed"], found["level"]) <= 0.002 + 1e-9


def test_answers_are_named_where_they_are_sampled() -> None:
    assert "43 test prompts × 8 answers" in power(answers=8)["findings"][0]["remedy"]


def test_three_test_prompts_are_undecidable_before_training() -> None:
    [finding] = power(prompts=3)["findings"]
    assert finding["severity"] == "error"
    assert (finding["value"], finding["limit"]) == (3.0, 20.0)
    assert "ingest.split.train" in finding["remedy"]


def test_a_plan_below_its_threshold_is_decided_by_no_number_of_prompts() -> None:
    found = power(values={"help": 0.6, "harm": 0.49, "short": 0.6})
    assert found["outlook"][0]["prompts_needed"] is None
    assert "no number of prompts" in found["findings"][0]["remedy"]


@pytest.mark.parametrize("prompts", [0, 1])
def test_no_test_prompts_have_no_width(prompts: int) -> None:
    found = power(prompts=prompts)
    assert [entry["half_width"] for entry in found["outlook"]] == [None, None]


def test_prompts_with_one_response_each_say_nothing_of_the_spread() -> None:
    table, weights, _ = world(0.5)
    first = weights.groupby("prompt_id").head(1)
    found = policy_spread(table, first, tuple(NAMES))
    assert found.between.tolist() == found.within.tolist() == [0.0] * 3
