"""Tabular runs: the static optimum, the unregularised front, schedules that stay feasible."""

import numpy as np
import pytest
from oracles import linear_optimum, regularised_optimum

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import run_tabular


def antichain(n: int = 5) -> np.ndarray:
    """Objective 2 reverses objective 1, both strict."""
    first = np.where(np.subtract.outer(np.arange(n), np.arange(n)) > 0, 0.9, 0.1)
    np.fill_diagonal(first, 0.5)
    return np.stack([first, first.T])


BEHAVIOUR = np.full(5, 0.2)


@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.55, 0.7])
def test_static_reference_reaches_the_regularised_optimum(threshold: float) -> None:
    preferences = antichain()
    win_rates = (preferences @ BEHAVIOUR).T
    run = run_tabular(preferences, BEHAVIOUR, [threshold], tau=0.3)
    value, ratio = regularised_optimum(
        win_rates, np.array([threshold]), 0.3, BEHAVIOUR, np.zeros(5, dtype=int)
    )
    np.testing.assert_allclose(run.policy, ratio * BEHAVIOUR, atol=1e-4)
    assert value <= run.values[0]


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.55, 0.7])
def test_lagged_reference_reaches_the_linear_programme(threshold: float) -> None:
    preferences = antichain()
    win_rates = (preferences @ BEHAVIOUR).T
    run = run_tabular(preferences, BEHAVIOUR, [threshold], tau=0.08, lag=1, steps=400)
    best = linear_optimum(win_rates, np.array([threshold]), BEHAVIOUR, np.zeros(5, dtype=int))
    assert run.values[0] == pytest.approx(best, abs=1e-3)
    assert run.values[1] >= threshold - 1e-3
    static = run_tabular(preferences, BEHAVIOUR, [threshold], tau=0.08)
    assert run.values[0] >= static.values[0] - 1e-3


def test_values_are_win_rates_of_the_policy() -> None:
    preferences = antichain()
    run = run_tabular(preferences, BEHAVIOUR, [0.5], tau=0.2)
    brute = [
        sum(run.policy[i] * BEHAVIOUR[j] * p[i, j] for i in range(5) for j in range(5))
        for p in preferences
    ]
    np.testing.assert_allclose(run.values, brute, atol=1e-12)
    assert run.policy.sum() == pytest.approx(1.0, abs=1e-12)


def test_adaptive_thresholds_stay_feasible_and_are_recorded() -> None:
    run = run_tabular(antichain(), BEHAVIOUR, [0.5], tau=0.1, lag=2, beta=0.99, steps=60)
    history = run.history
    assert {"step", "value_0", "threshold_1", "multiplier_1", "kl", "entropy"} <= set(history)
    assert (history["value_1"] >= history["threshold_1"] - 1e-6).all()


def test_confidence_radius_costs_the_primary() -> None:
    free = run_tabular(antichain(), BEHAVIOUR, [0.5], tau=0.2)
    careful = run_tabular(antichain(), BEHAVIOUR, [0.5], tau=0.2, epsilon=0.01)
    assert careful.values[0] < free.values[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"preferences": np.full((2, 5, 5), 0.7)}, "preferences"),
        ({"behaviour": np.full(5, -0.2)}, "behaviour"),
        ({"lag": 0}, "lag"),
        ({"beta": 1.5, "lag": 1}, "beta"),
        ({"tau": 0.0}, "tau"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], expected: str) -> None:
    given = {"preferences": antichain(), "behaviour": BEHAVIOUR, "thresholds": [0.5], "tau": 0.1}
    with pytest.raises(InputError, match=expected):
        run_tabular(**(given | change))
