"""What more labels would buy: nested shares, gains with their noise, and what is said of them."""

import numpy as np
import pytest

from mopo_pipeline.parameters.preferences import WinRateParams
from mopo_pipeline.preferences.estimate import estimate_win_rates
from mopo_pipeline.preferences.learning_curve import SHARES, learning_curve, nested, told
from pocket_world import OBJECTIVES, world


def test_smaller_shares_lie_within_larger_ones_and_never_cut_a_prompt() -> None:
    prompts = np.repeat(np.arange(40), 3)
    found = nested(prompts, np.random.default_rng(0))
    assert list(found) == [s for s in SHARES if s < 1.0]
    assert [kept.sum() for kept in found.values()] == [30, 60]
    assert (found[0.5] >= found[0.25]).all()
    for kept in found.values():
        assert all(kept[prompts == p].all() or not kept[prompts == p].any() for p in range(40))


def predictions(sharpness: tuple[float, ...], n: int = 4000) -> tuple[dict, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-2 * truth))).astype(float)
    noise = rng.normal(size=n)
    by_share = {
        share: 1 / (1 + np.exp(-(truth + error * noise)))
        for share, error in zip(SHARES, sharpness, strict=True)
    }
    return by_share, labels, np.arange(n) // 4


def test_a_model_that_still_learns_is_told_what_twice_the_labels_would_add() -> None:
    curve = learning_curve(*predictions((2.0, 1.0, 0.5)))
    assert curve["accuracy"][0] < curve["accuracy"][1] < curve["accuracy"][2]
    assert curve["gain"] > 3 * curve["gain_se"] > 0
    assert 0 < curve["twice"] < curve["gain"]
    assert "about +." in told(curve)


def test_a_model_that_learned_all_it_can_gains_nothing_more() -> None:
    curve = learning_curve(*predictions((0.5, 0.5, 0.5)))
    assert (curve["gain"], curve["twice"]) == (0.0, 0.0)
    assert told(curve).endswith("no gain seen beyond noise")


def test_no_curve_without_decided_labels() -> None:
    by_share, labels, prompts = predictions((1.0, 1.0, 1.0))
    assert learning_curve(by_share, np.full_like(labels, np.nan), prompts) == {}
    assert learning_curve(by_share, np.full_like(labels, 0.5), prompts) == {}
    assert learning_curve({}, labels, prompts) == {}


@pytest.mark.parametrize(("prompts", "hidden"), [(12, 0), (44, 4)])
def test_few_prompts_and_hidden_layers_draw_no_curve(prompts: int, hidden: int) -> None:
    given = world(0, prompts=prompts, answers=4, pairs=4)
    tables = [table.assign(split="train") for table in (given.responses, given.comparisons)]
    model = {"hidden": hidden, "epochs": 1, "folds": 2}
    params = WinRateParams.model_validate({"method": "preference_model", "model": model})
    found = estimate_win_rates(*tables, params, OBJECTIVES, seed=0).metrics
    assert [found["objectives"][name]["learning_curve"] for name in OBJECTIVES] == [{}] * 3


def test_the_curve_is_that_of_models_fitted_on_less() -> None:
    given = world(0, prompts=40, answers=4, pairs=6)
    tables = [table.assign(split="train") for table in (given.responses, given.comparisons)]
    params = WinRateParams(method="preference_model")
    found = estimate_win_rates(*tables, params, OBJECTIVES, seed=0).metrics
    for name in OBJECTIVES:
        curve = found["objectives"][name]["learning_curve"]
        assert curve["accuracy"][-1] == pytest.approx(found["objectives"][name]["accuracy"])
        assert curve["log_loss"][0] > curve["log_loss"][-1]
    assert found["unknown_words"] == 0.0
