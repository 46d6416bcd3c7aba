"""The lower bound, its temperature, and what a confidence level means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import Comparisons, epsilon_for_confidence, lower_bound, solve_dual

samples = st.lists(st.floats(-2, 5), min_size=2, max_size=30)


@settings(max_examples=150, deadline=None)
@given(samples, st.floats(1e-4, 2.0), st.integers(0, 1000))
def test_between_the_minimum_and_the_mean_and_dual_to_itself(
    values: list[float], epsilon: float, seed: int
) -> None:
    f = np.array(values)
    w = np.random.default_rng(seed).random(len(f)) + 0.01
    w /= w.sum()
    found = lower_bound(f, w, epsilon)
    assert f.min() - 1e-9 <= found.value <= w @ f + 1e-9
    np.testing.assert_allclose(found.weights.sum(), 1.0, atol=1e-9)
    positive = found.weights > 0
    divergence = found.weights[positive] @ np.log(found.weights[positive] / w[positive])
    assert divergence <= epsilon + 1e-6
    assert found.weights @ f == pytest.approx(found.value, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 0.5))
def test_matches_direct_minimisation_over_the_ball(seed: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    f, w = rng.normal(size=4), np.full(4, 0.25)
    found = minimize(
        lambda q: q @ f,
        w,
        method="SLSQP",
        bounds=[(1e-9, 1)] * 4,
        tol=1e-12,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "ineq", "fun": lambda q: epsilon - q @ np.log(q / w)},
        ],
    )
    assert lower_bound(f, w, epsilon).value == pytest.approx(found.fun, abs=2e-4)


def test_small_radius_is_a_normal_quantile() -> None:
    f = np.random.default_rng(0).normal(size=4000)
    found = lower_bound(f, None, 1e-5)
    assert found.value == pytest.approx(f.mean() - np.sqrt(2e-5 * f.var()), abs=1e-5)
    assert found.chi == pytest.approx(f.std() / np.sqrt(2e-5), rel=0.01)


def test_zero_radius_is_the_mean_and_a_huge_one_the_minimum() -> None:
    f = np.array([1.0, 2.0, 6.0])
    assert lower_bound(f, None, 0.0).value == pytest.approx(3.0)
    assert lower_bound(f, None, 50.0).value == pytest.approx(1.0, abs=1e-6)


def test_epsilon_is_half_a_squared_quantile_per_comparison() -> None:
    assert epsilon_for_confidence(1000, 0.95) == pytest.approx(norm.ppf(0.95) ** 2 / 2000)
    assert epsilon_for_confidence(10, 0.5) == pytest.approx(0.0, abs=1e-12)
    for confidence in (0.0, 1.0, 1.5, float("nan")):
        with pytest.raises(InputError, match="confidence"):
            epsilon_for_confidence(100, confidence)
    with pytest.raises(InputError, match="comparison"):
        epsilon_for_confidence(0, 0.9)


def sampled_task(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, Comparisons]:
    """True win rates of 8 alternatives, model win rates, and comparisons the model never saw."""
    strength = np.column_stack([np.linspace(-2, 2, 8), np.linspace(2, -2, 8)])
    p = 1 / (1 + np.exp(-(strength[:, None] - strength[None])))
    i, j = rng.integers(0, 8, (2, 2 * n))
    i, j = i[i != j], j[i != j]
    labels = (rng.random((len(i), 2)) < p[i, j]).astype(float)
    half = len(i) // 2
    wins = np.zeros((8, 2))
    np.add.at(wins, i[:half], labels[:half])
    np.add.at(wins, j[:half], 1 - labels[:half])
    share = wins / np.bincount(np.append(i[:half], j[:half]), minlength=8)[:, None]
    latent = 1.2 * np.log(share / (1 - share))
    model = 1 / (1 + np.exp(-(latent[:, None] - latent[None])))
    truth, fitted = ((matrix.sum(1) - 0.5) / 7 for matrix in (p, model))
    i, j = i[half:], j[half:]
    return truth, fitted, Comparisons(i, j, labels[half:], model[i, j])


@pytest.mark.slow
def test_the_threshold_truly_holds_as_often_as_the_confidence_says() -> None:
    """200 datasets of about 700 comparisons, b = .55: at 95 % it holds in 92-99 %, at 0 not."""
    rng = np.random.default_rng(1)
    held = {0.5: 0, 0.95: 0}
    for _ in range(200):
        truth, fitted, comparisons = sampled_task(rng, 800)
        for confidence in held:
            epsilon = epsilon_for_confidence(len(comparisons.first), confidence)
            found = solve_dual(fitted, [0.55], tau=0.3, epsilon=epsilon, comparisons=comparisons)
            held[confidence] += int(found.ratio @ truth[:, 1] / 8 >= 0.55)
    assert 0.92 <= held[0.95] / 200 <= 0.99
    assert 0.3 <= held[0.5] / 200 <= 0.7
