"""Predictions are held against a coin, the side that usually wins, and length."""

import numpy as np
import pytest
from scipy.special import expit

from mopo_pipeline.arrays import Array
from mopo_pipeline.preferences.baselines import (
    LENGTH_ALONE,
    STRONGER,
    TOO_WEAK,
    against_baselines,
)

N, PER_PROMPT = 1200, 4
PROMPTS = np.arange(N) // PER_PROMPT


def world(seed: int, of_length: float, of_content: float) -> tuple[Array, Array, Array]:
    """Labels drawn from length and from something else, the gap in length, and the true probability."""
    rng = np.random.default_rng(seed)
    gap, other = rng.normal(size=(2, N))
    p = expit(of_length * gap + of_content * other)
    return (rng.random(N) < p).astype(float), gap, p


@pytest.mark.parametrize(
    ("of_length", "of_content", "verdict"),
    [
        (0.0, 0.0, TOO_WEAK),
        (1.5, 0.0, LENGTH_ALONE),
        (-1.5, 0.0, LENGTH_ALONE),
        (0.5, 1.5, STRONGER),
    ],
)
def test_the_truth_is_called_what_it_rests_on(
    of_length: float, of_content: float, verdict: str
) -> None:
    labels, gap, p = world(0, of_length, of_content)
    found = against_baselines(p, labels, gap, PROMPTS)
    assert found["verdict"] == verdict
    assert found["constant"]["log_loss"] == pytest.approx(np.log(2))
    assert found["constant"]["gain"] == pytest.approx(np.log(2) - found["log_loss"])


def test_a_coin_gains_nothing_and_boldness_without_knowledge_loses() -> None:
    labels, gap, _ = world(1, 0.0, 1.0)
    coin = against_baselines(np.full(N, 0.5), labels, gap, PROMPTS)
    assert coin["verdict"] == TOO_WEAK
    assert coin["constant"]["gain"] == 0.0
    bold = np.random.default_rng(2).choice([0.02, 0.98], N)
    assert against_baselines(bold, labels, gap, PROMPTS)["constant"]["gain"] < -0.5


def test_a_model_that_only_knows_the_usual_side_is_too_weak() -> None:
    labels = (np.random.default_rng(3).random(N) < 0.8).astype(float)
    found = against_baselines(np.full(N, 0.8), labels, np.zeros(N), PROMPTS)
    assert found["constant"]["gain"] > 0.1
    assert abs(found["first"]["gain"]) < 0.01
    assert found["verdict"] == TOO_WEAK


def test_sides_do_not_matter_to_a_gain_over_a_coin_or_length_nor_do_missing_labels() -> None:
    labels, gap, p = world(4, 0.7, 0.7)
    swapped = against_baselines(1 - p, 1 - labels, -gap, PROMPTS)
    found = against_baselines(p, labels, gap, PROMPTS)
    for name in ("constant", "length"):
        assert swapped[name]["gain"] == pytest.approx(found[name]["gain"], abs=1e-5)
    more = (np.append(a, b) for a, b in ((p, 0.9), (labels, np.nan), (gap, 1.0)))
    assert against_baselines(*more, np.append(PROMPTS, 0)) == found


def test_saying_a_prompt_many_times_makes_no_gain_surer() -> None:
    labels, gap, p = world(5, 0.0, 1.0)
    once = against_baselines(p, labels, gap, PROMPTS)["constant"]
    many = against_baselines(*(np.tile(a, 9) for a in (p, labels, gap, PROMPTS)))["constant"]
    assert many["gain_se"] == pytest.approx(once["gain_se"], rel=1e-9)


def test_one_prompt_says_nothing() -> None:
    assert against_baselines(np.ones(3), np.ones(3), np.ones(3), np.zeros(3, dtype=int)) == {}
    assert against_baselines(np.ones(2), np.full(2, np.nan), np.ones(2), np.arange(2)) == {}
