"""The numbers of docs/method.md that a reader can redo by hand."""

import numpy as np
import pytest

from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    epsilon_for_confidence,
    lower_bound,
    run_tabular,
    solve_dual,
)
from mopo_pipeline.mopo.solvers import barrier


def test_two_rows() -> None:
    found = solve_dual([[1.0, 0.0], [0.0, 1.0]], [0.6], tau=1.0)
    np.testing.assert_allclose(found.ratio, [0.8, 1.2], atol=1e-7)
    assert found.multipliers[0] == pytest.approx(1.405, abs=5e-4)
    assert found.values == pytest.approx([0.4, 0.6], abs=1e-7)
    assert found.kl == pytest.approx(0.0201, abs=5e-5)


def test_radius_and_what_it_costs() -> None:
    epsilon = epsilon_for_confidence(1000, 0.95)
    assert epsilon == pytest.approx(0.00135, abs=5e-6)
    labels = np.tile([0.0, 1.0], 500)
    assert 0.5 - lower_bound(labels, None, epsilon).value == pytest.approx(0.026, abs=5e-4)


def test_two_points_in_the_ball() -> None:
    found = lower_bound([0.0, 1.0], None, 0.02)
    assert found.value == pytest.approx(0.400, abs=5e-4)
    assert found.chi == pytest.approx(2.47, abs=5e-3)
    q = found.weights
    assert q @ np.log(2 * q) == pytest.approx(0.02, abs=1e-9)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (0.0, [1.462, 0.538, 1.0, 1.0]),
        (2.0, [2.010, 0.512, 0.739, 0.739]),
        (np.inf, [1.901, 0.699, 0.699, 0.699]),
    ],
)
def test_two_prompts_and_a_pool(pooling: float, expected: list[float]) -> None:
    """With kappa 2 a row's normaliser is (the other row + 2 Z_pool) / 3, then all have mean 1.

    Z_pool = (e + 3) / 4 = 1.4296; e / ((1 + 2.8591) / 3), 1 / ((e + 2.8591) / 3) and twice
    1 / ((1 + 2.8591) / 3) are 2.1132, .5379, .7774, .7774, of mean 1.0515.
    """
    win_rates = [[1.0], [0.0], [0.0], [0.0]]
    found = solve_dual(win_rates, [], tau=1.0, groups=[0, 0, 1, 1], pooling=pooling)
    np.testing.assert_allclose(found.ratio, expected, atol=6e-4)


def test_one_comparison_of_the_doubly_robust_bound() -> None:
    """At tau = .3 / log 3 the win rates .7 and .4 give the odds 3, so the ratio is (1.5, .5)."""
    for label, expected in ((0.0, 0.225), (1.0, 0.725)):
        pair = Comparisons([0], [1], [[0.5, label]], [[0.5, 0.8]])
        found = solve_dual([[0.7, 0.7], [0.4, 0.4]], [0.0], tau=0.3 / np.log(3), comparisons=pair)
        np.testing.assert_allclose(found.ratio, [1.5, 0.5], atol=1e-12)
        assert found.bounds[0] == pytest.approx(expected, abs=1e-12)


def test_each_alone_but_not_together() -> None:
    with pytest.raises(InfeasibleThresholdsError) as caught:
        solve_dual([[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]], [0.8, 0.8], tau=0.1)
    np.testing.assert_allclose(caught.value.relaxed, [0.5, 0.5], atol=1e-6)


def test_static_and_lagged_reference() -> None:
    preferences = [[[0.5, 0.9], [0.1, 0.5]]]
    static = run_tabular(preferences, [0.5, 0.5], [], tau=0.1)
    assert static.policy[0] == pytest.approx(0.982, abs=5e-4)
    assert static.values[0] == pytest.approx(0.693, abs=5e-4)
    once = run_tabular(preferences, [0.5, 0.5], [], tau=0.1, lag=1, steps=1)
    assert once.policy[0] == pytest.approx(0.99966, abs=5e-6)
    assert run_tabular(preferences, [0.5, 0.5], [], tau=0.1, lag=1).values[0] == pytest.approx(0.7)


def test_slack_of_the_log_barrier() -> None:
    assert barrier.slack_at(np.array([0.5, 1.0, 2.0])) == pytest.approx([0.002, 0.001, 0.0])
