"""The published minibatch updates beside the exact dual."""

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import lower_bound, solve_dual
from mopo_pipeline.mopo.stochastic import run_stochastic

WIN_RATES = np.array([[0.8, 0.2], [0.6, 0.45], [0.5, 0.5], [0.35, 0.7], [0.2, 0.75]])


def distance(batch_size: int, seed: int, epsilon: float = 0.0) -> float:
    """Total variation between the averaged end of a run and the exact policy."""
    exact = solve_dual(WIN_RATES, [0.5], tau=0.3, epsilon=epsilon)
    run = run_stochastic(
        WIN_RATES, [0.5], tau=0.3, rng=np.random.default_rng(seed), epsilon=epsilon,
        batch_size=batch_size, steps=6000,
    )  # fmt: skip
    return float(np.abs(run.policy - exact.ratio / 5).sum() / 2)


def test_large_batches_come_close_to_the_exact_policy() -> None:
    found = [distance(256, seed) for seed in range(3)]
    assert max(found) < 0.02


def test_the_published_batch_of_eight_stays_further_away() -> None:
    small = np.mean([distance(8, seed) for seed in range(5)])
    large = np.mean([distance(256, seed) for seed in range(3)])
    assert small > 2 * large


def test_chi_settles_where_the_bound_of_its_own_ratio_has_it() -> None:
    """Not where the exact solution has it: the published exponent leaves out the weights of (5)."""
    run = run_stochastic(
        WIN_RATES, [0.4], tau=0.3, rng=np.random.default_rng(0), epsilon=0.05, batch_size=512,
        steps=4000, chi_step=3.0,
    )  # fmt: skip
    weight = np.exp((WIN_RATES[:, 0] + run.multipliers[0] * WIN_RATES[:, 1]) / 0.3)
    expected = lower_bound(weight / weight.mean() * WIN_RATES[:, 1], None, 0.05)
    assert run.history["chi_1"].tail(20).mean() == pytest.approx(expected.chi, rel=0.05)
    assert expected.value == pytest.approx(0.4, abs=0.005)


def test_history_and_determinism() -> None:
    runs = [
        run_stochastic(WIN_RATES, [0.5], tau=0.3, rng=np.random.default_rng(1), steps=200)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].policy, runs[1].policy)
    assert list(runs[0].history["step"]) == [50, 100, 150, 200]
    with pytest.raises(InputError, match="tau"):
        run_stochastic(WIN_RATES, [0.5], tau=0.0, rng=np.random.default_rng(1))
