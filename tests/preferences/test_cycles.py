"""Labels that go round in a circle, which no reward can say."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.special import expit

from mopo_pipeline.parameters.preferences import WinRateParams
from mopo_pipeline.preferences.cycles import circling
from mopo_pipeline.preferences.estimate import WinRateEstimate, estimate_win_rates, model_win_rates
from mopo_pipeline.tables import chat_prompt, weight_columns

STYLES = ("rock", "scissors", "paper")
"""Each beats the next, the last the first."""
SURE = 0.85
PROMPTS, ANSWERS, PAIRS = 120, 6, 8
FILLERS = [f"word{i}" for i in range(30)]


def beats(one: int, other: int) -> float:
    return {0: 0.5, 1: SURE, 2: 1.0 - SURE}[(other - one) % 3]


def world(
    seed: int, *, circle: bool
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, dict[str, int]]:
    """Answers of three styles; labels by a circle of styles, or by how good a style is. Last, true p(a beats b) and styles."""
    rng = np.random.default_rng(seed)
    rows, pairs, true = [], [], []
    style: dict[str, int] = {}
    split = ["train"] * 90 + ["validation"] * 10 + ["test"] * 20
    for p in range(PROMPTS):
        ids = [f"r{p}_{a}" for a in range(ANSWERS)]
        for response in ids:
            style[response] = int(rng.integers(3))
            said = [STYLES[style[response]], *rng.choice(FILLERS, 4)]
            rows.append((f"p{p}", response, chat_prompt(f"ask {p}"), " ".join(said), split[p]))
        for _ in range(PAIRS):
            a, b = rng.choice(ids, 2, replace=False)
            one, other = style[a], style[b]
            true.append(beats(one, other) if circle else expit(1.5 * (other - one)))
            pairs.append((f"p{p}", a, b, split[p], float(rng.random() < true[-1])))
    columns = ["prompt_id", "response_id", "prompt", "response", "split"]
    responses = pd.DataFrame(rows, columns=columns)
    columns = ["prompt_id", "response_a", "response_b", "split", "good"]
    comparisons = pd.DataFrame(pairs, columns=columns).drop_duplicates(columns[1:3])
    kept = comparisons.index.to_numpy()
    comparisons = comparisons.reset_index(drop=True).assign(**{weight_columns(["good"])[0]: 1.0})
    return responses, comparisons, np.array(true)[kept], style


def estimated(responses: pd.DataFrame, comparisons: pd.DataFrame, cycles: str) -> WinRateEstimate:
    params = WinRateParams.model_validate(
        {"method": "preference_model", "cycles": cycles, "model": {"features": "words"}}
    )
    return estimate_win_rates(responses, comparisons, params, ("good",), 0)


def right(found: WinRateEstimate, comparisons: pd.DataFrame, true: np.ndarray) -> float:
    """Share of decided pairs of the test split whose likelier winner is named."""
    test = (comparisons["split"] == "test").to_numpy() & (np.abs(true - 0.5) > 0.01)
    said = found.predictions["good"].to_numpy()[test]
    return float(((said > 0.5) == (true[test] > 0.5)).mean())


@pytest.mark.slow
def test_answers_that_go_round_are_told_apart_where_rewards_say_a_coin() -> None:
    responses, comparisons, true, style = world(0, circle=True)
    plain = estimated(responses, comparisons, "none")
    found = estimated(responses, comparisons, "auto")
    assert right(plain, comparisons, true) < 0.65
    assert right(found, comparisons, true) > 0.9
    told = found.metrics["objectives"]["good"]["cycles"]
    assert told["taken"]
    assert told["log_loss"] < told["of_rewards"] - 0.1
    expected = [
        np.mean([beats(style[own], style[other]) for other in group if other != own])
        for _, group in responses.groupby("prompt_id", sort=False)["response_id"]
        for own in group
    ]
    found_off, plain_off = (
        np.abs(each.win_rates["good"].to_numpy() - np.array(expected)).mean()
        for each in (found, plain)
    )
    assert found_off < 0.08
    assert plain_off > 0.1


@pytest.mark.slow
def test_labels_without_circles_keep_the_plain_model() -> None:
    for seed in range(3):
        responses, comparisons, _, _ = world(seed, circle=False)
        plain = estimated(responses, comparisons, "none")
        found = estimated(responses, comparisons, "auto")
        assert not found.metrics["objectives"]["good"]["cycles"]["taken"]
        pd.testing.assert_frame_equal(found.win_rates, plain.win_rates)
        pd.testing.assert_frame_equal(found.predictions, plain.predictions)


def test_the_two_sides_of_a_pair_say_the_same_of_circles() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 5, 4))
    np.testing.assert_allclose(circling(one, other), -circling(other, one))
    np.testing.assert_allclose(circling(one, one), 0.0, atol=1e-12)


@pytest.mark.parametrize("opponents", [1, 4])
def test_a_circle_of_three_answers_alone_leaves_each_at_a_half(opponents: int) -> None:
    angles = np.arange(3) * 2.0 * np.pi / 3.0
    turns = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None, :]
    ids = pd.Series(["p"] * 3)
    values, errors = model_win_rates(np.zeros((3, 1)), ids, opponents, turns)
    np.testing.assert_allclose(values, 0.5)
    pairs, _ = model_win_rates(np.zeros((2, 1)), ids[:2], opponents, turns[:2])
    assert pairs[0, 0] > 0.9 > 0.1 > pairs[1, 0]
    assert opponents > 1 or (errors > 0.2).all()


def test_circles_ask_for_the_method_that_can_hold_them() -> None:
    with pytest.raises(ValidationError, match="cycles: auto needs method: preference_model"):
        WinRateParams.model_validate({"cycles": "auto"})
