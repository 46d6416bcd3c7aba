"""Before anything is trained the plan says how wide its certificate will be, and what would decide."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import NAMES, PLAN
from mopo_pipeline.mopo import Comparisons, effective_share
from mopo_pipeline.parameters.lag import FreshLag, NoLag, OfflineLag
from mopo_pipeline.pareto.bounds import half_width
from mopo_pipeline.plan.power import certificate_power
from mopo_pipeline.plan.spread import label_spread, moved_weights, policy_spread

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
        {
            "prompt_id": prompt_ids,
            "response_id": ids,
            "unit": prompt_ids,
            "ratio": np.exp(strength * worth).ravel(),
        }
    )
    return table, weights, attained


def power(prompts: int = 43, answers: int | None = None, **changes: Any) -> dict[str, Any]:
    table, weights, _ = world(0.5)
    return certificate_power(
        table, weights, replace(PLAN, **changes), prompts=prompts, answers=answers, confidence=0.95
    )


def test_the_luck_of_few_responses_is_part_of_the_spread() -> None:
    """It is these rows that the policy is taught: their luck is its own. Of many responses little is left."""
    table, weights, attained = world(0.0)
    assert attained.var() < 1e-12
    share = weights["ratio"] / weights.groupby("prompt_id")["ratio"].transform("sum")
    means = (share * table["help"]).groupby(weights["prompt_id"]).sum()
    found = policy_spread(table, weights, tuple(NAMES)).between[0]
    assert found == pytest.approx(means.var())
    few = weights.groupby("prompt_id").head(4)
    assert policy_spread(table, few, tuple(NAMES)).between[0] > 1.5 * found


@pytest.mark.parametrize("between", [0.5, 0.8])
def test_the_spread_over_prompts_is_nearly_the_policy_s_own(between: float) -> None:
    table, weights, attained = world(between)
    found = policy_spread(table, weights, tuple(NAMES)).between[0]
    assert 0.8 < np.sqrt(found / attained.var()) < 1.25


@pytest.mark.parametrize(
    ("lag", "power"),
    [(NoLag(), 1.0), (OfflineLag(every=100), 3.0), (FreshLag(every=100, target_ess=0.0), 4.0)],
)
def test_every_move_of_the_reference_takes_the_planned_step_again(lag: Any, power: float) -> None:
    _, weights, _ = world(0.5)
    logs = np.log(moved_weights(weights, lag, 400)["ratio"]) - power * np.log(weights["ratio"])
    assert np.ptp(logs) < 1e-9
    wider = [
        policy_spread(world(0.5)[0], moved_weights(weights, lag, steps), tuple(NAMES)).between[0]
        for steps in (100, 400)
    ]
    assert (wider[1] > wider[0]) == (power > 1.0)


def test_a_step_that_is_tempered_is_foreseen_tempered() -> None:
    _, weights, _ = world(0.5)
    steep = weights.assign(ratio=weights["ratio"] ** 4)
    found = moved_weights(steep, FreshLag(every=100, target_ess=0.5), 50)["ratio"].to_numpy()
    assert effective_share(found) == pytest.approx(0.5, abs=1e-6)


def labelled(seed: int, prompts: int) -> tuple[pd.DataFrame, pd.DataFrame, Comparisons]:
    """Answers with a worth that half of the labels' model does not know, a policy that follows it, 12 labels a prompt."""
    rng = np.random.default_rng(seed)
    known, hidden = rng.normal(size=(2, prompts, RESPONSES))
    worth = known + 0.5 * hidden
    rates = (1 / (1 + np.exp(known[:, None, :] - known[:, :, None]))).mean(axis=2)
    first = rng.integers(RESPONSES, size=(prompts, 12))
    second = (first + rng.integers(1, RESPONSES, size=first.shape)) % RESPONSES
    row = np.arange(prompts)[:, None]
    gap, said = (v[row, first] - v[row, second] for v in (worth, known))
    labels = (rng.random(gap.shape) < 1 / (1 + np.exp(-gap))).astype(float)
    base = row * RESPONSES
    compared = Comparisons(
        (base + first).ravel(),
        (base + second).ravel(),
        np.repeat(labels.reshape(-1, 1), 3, axis=1),
        np.repeat((1 / (1 + np.exp(-said))).reshape(-1, 1), 3, axis=1),
    )
    ids = [f"{seed}-{i}" for i in range(prompts * RESPONSES)]
    table = pd.DataFrame({"response_id": ids} | {name: rates.ravel() for name in NAMES})
    weights = pd.DataFrame(
        {
            "prompt_id": np.repeat(np.arange(prompts), RESPONSES),
            "unit": np.repeat(np.arange(prompts), RESPONSES),
            "response_id": ids,
            "ratio": np.exp(worth).ravel(),
        }
    )
    return table, weights, compared


def test_what_labels_will_say_is_foreseen_as_wide_as_their_estimates_scatter() -> None:
    """Over 200 test splits of 40 prompts, the doubly robust values by hand; the model's values alone scatter less."""
    table, weights, compared = labelled(0, 400)
    foreseen = label_spread(table, weights, compared, tuple(NAMES), 20.0)[0] / np.sqrt(40)
    alone = policy_spread(table, weights, tuple(NAMES)).of_mean(None)[0] / np.sqrt(40)
    estimates = []
    for seed in range(1, 201):
        rates, ratio, pairs = labelled(seed, 40)
        rho = ratio["ratio"].to_numpy().reshape(40, RESPONSES)
        rho = np.minimum(rho / rho.mean(axis=1, keepdims=True), 20.0).ravel()
        value = (rho * rates["help"]).mean()
        missed = np.asarray(pairs.labels)[:, 0] - np.asarray(pairs.predicted)[:, 0]
        gap = rho[np.asarray(pairs.first)] - rho[np.asarray(pairs.second)]
        estimates.append(value + (0.5 * gap * missed).mean())
    assert 0.8 < foreseen / np.std(estimates) < 1.25
    assert alone < 0.7 * np.std(estimates)


def test_a_certificate_on_labels_is_as_wide_as_they_are() -> None:
    table, weights, _ = world(0.5)
    found = certificate_power(
        table, weights, PLAN, prompts=43, answers=8, confidence=0.95, labelled=np.full(3, 0.2)
    )
    assert (found["rests_on"], found["answers"]) == ("labels", None)
    assert found["outlook"][0]["half_width"] == pytest.approx(half_width(0.2, 43, found["level"]))


def test_each_threshold_is_foreseen_on_the_prompts_that_its_own_labels_are_of() -> None:
    table, weights, _ = world(0.5)
    given = {"prompts": 200, "answers": 8, "confidence": 0.95, "labelled": np.full(3, 0.2)}
    found = certificate_power(table, weights, PLAN, **given, carried=np.array([200, 30, 200]))
    harm, short = found["outlook"]
    assert harm["half_width"] == pytest.approx(half_width(0.2, 30, found["level"]))
    assert short["half_width"] == pytest.approx(half_width(0.2, 200, found["level"]))
    assert "with 30 test prompts" in found["findings"][0]["remedy"]
    few = certificate_power(table, weights, PLAN, **given, carried=np.array([200, 200, 12]))
    [finding] = few["findings"]
    assert (finding["severity"], finding["value"]) == ("error", 12.0)


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


def test_the_margin_that_would_decide_is_on_top_of_the_one_there_is() -> None:
    values = {"help": 0.6, "harm": 0.502, "short": 0.6}
    asked = []
    for target in (0.5, 0.54):
        harm = power(values=values, targets={"harm": target, "short": 0.45})["findings"][0]
        asked.append(float(harm["remedy"].split("plan.margins.harm=")[1].split()[0]))
    assert asked[1] - asked[0] == pytest.approx(0.04)


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
