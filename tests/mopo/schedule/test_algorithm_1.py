"""The published minibatch updates beside the exact dual."""

from functools import cache, partial

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import lower_bound, solve_dual
from mopo_pipeline.mopo.schedule.algorithm_1 import run_stochastic

updated = partial(
    run_stochastic,
    steps=5000,
    batch_size=8,
    multiplier_step=0.05,
    policy_step=0.05,
    record_every=50,
)
WIN_RATES = np.array([[0.8, 0.2], [0.6, 0.45], [0.5, 0.5], [0.35, 0.7], [0.2, 0.75]])


@cache
def distance(batch_size: int, seed: int) -> float:
    """Total variation between the averaged end of a run and the exact policy."""
    exact = solve_dual(WIN_RATES, [0.5], tau=0.3)
    run = updated(
        WIN_RATES,
        [0.5],
        tau=0.3,
        rng=np.random.default_rng(seed),
        batch_size=batch_size,
        steps=6000,
    )
    return float(np.abs(run.policy - exact.ratio / 5).sum() / 2)


@pytest.mark.slow
def test_large_batches_come_close_to_the_exact_policy() -> None:
    found = [distance(256, seed) for seed in range(3)]
    assert max(found) < 0.02


@pytest.mark.slow
def test_the_published_batch_of_eight_stays_further_away() -> None:
    small = np.mean([distance(8, seed) for seed in range(3)])
    large = np.mean([distance(256, seed) for seed in range(3)])
    assert small > 2 * large


@pytest.mark.parametrize(("tau", "multiplier"), [(0.08, 0.0), (0.3, 0.0), (1.0, 0.92)])
def test_the_ratio_as_it_is_printed_would_have_another_end(tau: float, multiplier: float) -> None:
    """Eq. 3, exp(v/tau - 1), is no ratio of distributions: where its mean of the constraint is .5, no policy holds .5."""

    def printed(at: float) -> float:
        return float((np.exp(WIN_RATES @ [1.0, at] / tau - 1.0) * WIN_RATES[:, 1]).mean())

    assert printed(multiplier) >= 0.5 - 0.005
    assert multiplier == 0.0 or printed(multiplier - 0.02) < 0.5
    policy = np.exp(WIN_RATES @ [1.0, multiplier] / tau)
    held = policy @ WIN_RATES[:, 1] / policy.sum()
    exact = solve_dual(WIN_RATES, [0.5], tau=tau)
    assert exact.values[1] == pytest.approx(0.5) and abs(held - 0.5) > 0.01
    assert abs(exact.multipliers[0] - multiplier) > 0.3


def test_chi_settles_where_the_bound_of_its_own_ratio_has_it() -> None:
    """Not where the exact solution has it: the published exponent leaves out the weights of (5)."""
    run = updated(
        WIN_RATES,
        [0.4],
        tau=0.3,
        rng=np.random.default_rng(0),
        epsilon=0.05,
        batch_size=512,
        steps=4000,
        chi_step=3.0,
    )
    weight = np.exp((WIN_RATES[:, 0] + run.multipliers[0] * WIN_RATES[:, 1]) / 0.3)
    expected = lower_bound(weight / weight.mean() * WIN_RATES[:, 1], None, 0.05)
    assert run.history["chi_1"].tail(20).mean() == pytest.approx(expected.chi, rel=0.05)
    assert expected.value == pytest.approx(0.4, abs=0.005)


def test_history_and_determinism() -> None:
    runs = [
        updated(WIN_RATES, [0.5], tau=0.3, rng=np.random.default_rng(1), steps=200)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].policy, runs[1].policy)
    assert list(runs[0].history["step"]) == [50, 100, 150, 200]
    np.testing.assert_array_equal(runs[0].policies[-1], runs[0].policy)
    np.testing.assert_allclose(runs[0].policies.sum(axis=1), 1)
    np.testing.assert_allclose(
        runs[0].policies @ WIN_RATES, runs[0].history[["value_0", "value_1"]], atol=1e-12
    )


def test_rows_without_reference_mass_are_never_drawn() -> None:
    mass = np.array([1.0, 0.0, 1.0, 2.0, 0.0])
    run = updated(
        WIN_RATES, [0.5], tau=0.3, rng=np.random.default_rng(0), reference=mass, steps=300
    )
    np.testing.assert_array_equal(run.policy[mass == 0], 0.0)
    assert run.policy.sum() == pytest.approx(1)
    kept = updated(
        WIN_RATES[mass > 0],
        [0.5],
        tau=0.3,
        rng=np.random.default_rng(0),
        reference=mass[mass > 0],
        steps=300,
    )
    np.testing.assert_array_equal(run.policy[mass > 0], kept.policy)


def test_inputs_are_not_mutated() -> None:
    given, asked, mass = WIN_RATES.copy(), np.array([0.5]), np.ones(5)
    updated(given, asked, tau=0.3, rng=np.random.default_rng(0), reference=mass, steps=50)
    np.testing.assert_array_equal(given, WIN_RATES)
    np.testing.assert_array_equal(asked, [0.5])
    np.testing.assert_array_equal(mass, 1.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tau": 0.0}, "tau must be > 0, got 0.0"),
        ({"epsilon": -0.1}, "epsilon must be >= 0, got -0.1"),
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": "many"}, "steps must be a number, got 'many'"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"batch_size": 8.5}, "batch_size must be a whole number, got 8.5"),
        ({"multiplier_step": 0.0}, "multiplier_step must be > 0, got 0.0"),
        ({"chi_step": -1.0}, "chi_step must be > 0, got -1.0"),
        ({"policy_step": float("nan")}, "policy_step must be > 0, got nan"),
        ({"policy_step": float("inf")}, "policy_step must be > 0, got inf"),
        ({"record_every": 0}, "record_every must be >= 1, got 0"),
        ({"record_every": 21}, "record_every must not exceed steps, got 21 of 20"),
        ({"rng": 0}, "rng must be a numpy Generator, got int"),
        ({"reference": [1.0]}, r"reference must have shape \(5,\), got \(1,\)"),
        ({"reference": [1, 1, 1, 1, -1]}, "reference must not be negative, got -1 at row 4"),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(
    changes: dict[str, object], expected: str
) -> None:
    given: dict[str, object] = {
        "tau": 0.3,
        "rng": np.random.default_rng(0),
        "steps": 20,
        "record_every": 10,
    }
    with pytest.raises(InputError, match=expected):
        updated(WIN_RATES, [0.5], **(given | changes))  # type: ignore[arg-type]


def test_thresholds_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(InputError, match="got 2"):
        updated(WIN_RATES, [0.5, 0.5], tau=0.3, rng=np.random.default_rng(0))
