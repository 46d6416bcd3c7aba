"""Intervals over prompts cover the truth as often as they say, and know when they cannot."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t

from mopo_pipeline.pareto.intervals import prompt_bootstrap, sum_by

SIMULATIONS, ANSWERS, TRUTH = 400, 8, 0.55


def coverage(prompts: int, unit: str = "prompt", simulations: int = SIMULATIONS) -> float:
    """Share of intervals at 90 % that hold the truth; answers to a prompt share most of their noise."""
    rng = np.random.default_rng(prompts)
    shared = rng.normal(0.0, 0.1, (simulations, prompts, 1))
    values = TRUTH + shared + rng.normal(0.0, 0.1, (simulations, prompts, ANSWERS))
    hits = 0
    for drawn in values:
        sums = drawn.sum(axis=1) if unit == "prompt" else drawn.ravel()
        mass = np.full((len(sums), 1), float(ANSWERS if unit == "prompt" else 1))
        found = prompt_bootstrap(sums[:, None], mass, confidence=0.9, draws=400, rng=rng)
        hits += int(found.low[0] <= TRUTH <= found.high[0])
    return hits / simulations


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [8, 40])
def test_intervals_over_prompts_cover_as_often_as_they_say(prompts: int) -> None:
    """90 % within three standard errors of 400 simulations, with few prompts as with many."""
    assert coverage(prompts) == pytest.approx(0.9, abs=0.045)


def test_answers_taken_for_prompts_would_cover_far_less() -> None:
    assert coverage(40, unit="answer", simulations=100) < 0.75


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


def test_the_bootstrap_is_scipys_paired_one_with_students_percentiles() -> None:
    """Same ends as scipy's at the level that leaves Student's tails, but for the noise of 20 000 draws."""
    rng = np.random.default_rng(3)
    mass = rng.integers(1, 9, (40, 1)).astype(float)
    numerator = mass * rng.random((40, 2))
    ours = prompt_bootstrap(
        numerator, mass, confidence=0.9, draws=20_000, rng=np.random.default_rng(0)
    )
    level = 1 - 2 * norm.cdf(-np.sqrt(40 / 39) * t.ppf(0.95, 39))
    theirs = bootstrap(
        (numerator, np.broadcast_to(mass, numerator.shape)),
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        n_resamples=20_000,
        paired=True,
        confidence_level=level,
        method="percentile",
        batch=1000,
        rng=np.random.default_rng(1),
    )
    np.testing.assert_allclose(ours.low, theirs.confidence_interval.low, atol=0.002)
    np.testing.assert_allclose(ours.high, theirs.confidence_interval.high, atol=0.002)
    # The jackknife divides by n - 1 and knows the ratio to first order: 4 % apart from 40 prompts.
    np.testing.assert_allclose(ours.se, theirs.standard_error, rtol=0.05)
