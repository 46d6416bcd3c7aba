"""Tempering: the largest power of the weights that keeps enough rows effective."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import effective_share, solve_dual, tempered

WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1e6)), min_size=1, max_size=30).filter(
    lambda w: sum(w) > 0
)


def power_of(weights: np.ndarray, step: np.ndarray) -> float:
    """The power between two rows that differ."""
    low, high = np.argmin(weights), np.argmax(weights)
    return float(np.log(step[high] / step[low]) / np.log(weights[high] / weights[low]))


@given(WEIGHTS, st.floats(0.0, 0.99))
def test_keeps_the_share_where_the_rows_have_it(weights: list[float], share: float) -> None:
    step = tempered(weights, share)
    mass = np.array(weights)
    assert step.mean() == pytest.approx(1.0)
    assert ((step > 0) == (mass > 0)).all()
    assert (np.diff(step[np.argsort(mass)]) >= 0).all()
    assert effective_share(step) >= min(share, np.mean(mass > 0)) - 1e-6


@given(WEIGHTS)
def test_leaves_what_is_effective_enough(weights: list[float]) -> None:
    mass = np.array(weights)
    share = effective_share(mass) * 0.999
    np.testing.assert_allclose(tempered(mass, share), mass / mass.mean(), rtol=1e-9)


def test_the_power_is_the_largest_that_keeps_the_share() -> None:
    weights = np.random.default_rng(0).lognormal(sigma=2.0, size=500)
    power = power_of(weights, tempered(weights, 0.5))
    assert 0 < power < 1
    assert effective_share(weights**power) == pytest.approx(0.5)
    assert effective_share(weights ** (power + 0.01)) < 0.5


def test_a_tempered_ratio_is_the_ratio_of_a_higher_temperature() -> None:
    """ratio ** a is proportional to exp{(s_0 + lambda s) a / tau}: tau / a with the same multipliers."""
    win_rates = np.random.default_rng(1).uniform(size=(200, 2))
    ratio = solve_dual(win_rates, [0.7], tau=0.1).ratio
    step = tempered(ratio, 0.6)
    power = power_of(ratio, step)
    multiplier = solve_dual(win_rates, [0.7], tau=0.1).multipliers[0]
    other = np.exp((win_rates[:, 0] + multiplier * win_rates[:, 1]) * power / 0.1)
    np.testing.assert_allclose(step, other / other.mean(), rtol=1e-8)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0]])
def test_no_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights"):
        tempered(weights, 0.5)
