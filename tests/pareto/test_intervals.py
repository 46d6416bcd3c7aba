"""Intervals over prompts cover the truth as often as they say, and know when they cannot."""

import numpy as np
import pytest

from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by

SIMULATIONS, ANSWERS, TRUTH = 400, 8, 0.55


def coverage(prompts: int, unit: str = "prompt") -> float:
    """Share of intervals at 90 % that hold the truth; answers to a prompt share most of their noise."""
    rng = np.random.default_rng(prompts)
    shared = rng.normal(0.0, 0.1, (SIMULATIONS, prompts, 1))
    values = TRUTH + shared + rng.normal(0.0, 0.1, (SIMULATIONS, prompts, ANSWERS))
    hits = 0
    for drawn in values:
        sums = drawn.sum(axis=1) if unit == "prompt" else drawn.ravel()
        mass = np.full((len(sums), 1), float(ANSWERS if unit == "prompt" else 1))
        found = prompt_bootstrap(sums[:, None], mass, confidence=0.9, draws=400, rng=rng)
        hits += int(found.low[0] <= TRUTH <= found.high[0])
    return hits / SIMULATIONS


@pytest.mark.parametrize("prompts", [8, 40])
def test_intervals_over_prompts_cover_as_often_as_they_say(prompts: int) -> None:
    """90 % within three standard errors of 400 simulations, with few prompts as with many."""
    assert coverage(prompts) == pytest.approx(0.9, abs=0.045)


def test_answers_taken_for_prompts_would_cover_far_less() -> None:
    assert coverage(40, unit="answer") < 0.75


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> object:
    return prompt_bootstrap(
        numerator, denominator, confidence=0.95, draws=200, rng=np.random.default_rng(0)
    )


def test_an_estimate_carried_by_one_prompt_has_no_interval() -> None:
    """Nine prompts without a label of the objective do not make the tenth certain."""
    mass = np.ones((10, 2))
    mass[1:, 1] = 0.0
    found = ratio(np.where(mass > 0, 0.4, 0.0), mass)
    assert np.isfinite(found.low[0])
    assert np.isnan([found.low[1], found.high[1], found.se[1]]).all()
    np.testing.assert_array_equal(found.n, [10, 1])
    assert found.level == 0.95


def test_numerator_and_denominator_are_not_interchangeable() -> None:
    top, bottom = np.array([[1.0], [3.0], [2.0]]), np.full((3, 1), 4.0)
    assert ratio(top, bottom).estimate[0] == pytest.approx(0.5)
    assert ratio(bottom, top).estimate[0] == pytest.approx(2.0)


def test_an_interval_holds_its_value_even_where_one_prompt_carries_most() -> None:
    rng = np.random.default_rng(1)
    for seed in range(50):
        mass = np.exp(np.random.default_rng(seed).normal(0, 3, (5, 1)))
        found = prompt_bootstrap(mass * rng.random((5, 1)), mass, confidence=0.6, draws=30, rng=rng)
        assert found.low[0] <= found.estimate[0] <= found.high[0]


def test_rows_are_summed_by_their_own_prompt() -> None:
    found = sum_by(np.array([[1.0], [2.0], [4.0]]), np.array([1, 0, 1]), 3)
    np.testing.assert_array_equal(found, [[2.0], [5.0], [0.0]])
