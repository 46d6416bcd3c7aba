"""A period whose rows hold no label of an objective goes on at the price it had; the others are solved."""

from dataclasses import replace

import numpy as np
import pytest

from mopo_pipeline.mopo import Comparisons, Signals, diagnose_run, solve_dual
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.lag import refresh
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.mopo.schedule.unlabelled import priced, unlabelled

WIN_RATES = np.random.default_rng(0).uniform(0.2, 0.8, (320, 3))
GROUPS = np.repeat(np.arange(40), 8)
HALF = GROUPS < 20
LIMITS = {"max_ratio": 20.0, "min_ess": 0.0, "max_multiplier": 1e6, "beta": None}


def compared(silent: tuple[int, ...], seed: int) -> Comparisons:
    """Labels on all prompts, of the objectives in ``silent`` on the second half of them alone."""
    rng = np.random.default_rng(seed)
    first = rng.integers(320, size=2000)
    second = first // 8 * 8 + (first % 8 + rng.integers(1, 8, size=2000)) % 8
    chance = 1 / (1 + np.exp(-4 * (WIN_RATES[first] - WIN_RATES[second])))
    labels = (rng.random(chance.shape) < chance).astype(float)
    for k in silent:
        labels[HALF[first], k] = np.nan
    return Comparisons(first, second, labels, chance)


def problem(*silent: int, seed: int = 1) -> DualProblem:
    asked = np.array([0.52, 0.5])
    return DualProblem(
        ("help", "harm", "short"),
        WIN_RATES,
        GROUPS,
        asked,
        0.1,
        0.0,
        5.0,
        "lagrangian",
        compared(silent, seed),
        np.array([0.7, 0.4]),
        asked,
        asked,
        0.95,
    )


def planned(asked: DualProblem) -> LagState:
    rows, zero = np.ones(320), np.zeros(320)
    return LagState(
        rows,
        zero,
        zero,
        zero,
        asked.multipliers,
        asked.thresholds,
        asked.bounds,
        asked.values,
        rows > 0,
    )


def test_what_no_label_speaks_of_keeps_price_bound_and_target_and_is_counted() -> None:
    asked = replace(problem(2), pooling=0.0)
    state = refresh(planned(asked), asked, np.zeros(320), HALF, **LIMITS)
    assert (state.multipliers[1], state.bounds[1], state.targets[1]) == (0.4, 0.5, 0.5)
    assert state.multipliers[0] != 0.7
    assert state.bounds[0] >= 0.52 - 1e-6
    assert state.unlabelled.tolist() == [0.0, 1.0]
    exponent = WIN_RATES[HALF] @ np.append(1.0, state.multipliers) / 0.1
    weights = np.log(state.weights[HALF]) - exponent
    for prompt in range(20):
        assert np.ptp(weights[GROUPS[HALF] == prompt]) < 1e-6
    again = refresh(state, asked, np.zeros(320), ~HALF, **LIMITS)
    assert again.unlabelled.tolist() == [0.0, 1.0]
    assert again.multipliers[1] != 0.4


@pytest.mark.parametrize("silent", [(1, 2), (0, 1, 2)])
def test_a_period_without_any_label_keeps_every_price(silent: tuple[int, ...]) -> None:
    asked = problem(*silent)
    state = refresh(planned(asked), asked, np.zeros(320), HALF, **LIMITS)
    assert state.multipliers.tolist() == [0.7, 0.4]
    assert state.unlabelled.tolist() == [1.0, 1.0]
    assert state.weights[HALF].mean() == pytest.approx(1.0)
    assert (state.weights[~HALF] == 0.0).all()


def test_an_objective_at_the_price_it_has_is_solved_for_what_it_was() -> None:
    """The multipliers of all, one of them given: the others are found again."""
    whole = replace(problem(), comparisons=None, confidence=None, pooling=0.0)
    given = {"tau": 0.1, "groups": GROUPS}
    exact = solve_dual(WIN_RATES, [0.6, 0.55], **given)
    part, price = priced(whole, np.array([False, True]), exact.multipliers)
    found = solve_dual(part.win_rates, [0.6], tau=part.tau, groups=GROUPS)
    assert part.objectives == ("help", "harm")
    assert price * found.multipliers[0] == pytest.approx(exact.multipliers[0], abs=1e-6)
    np.testing.assert_allclose(found.ratio, exact.ratio, rtol=1e-6)
    nothing = np.zeros(2, dtype=bool)
    assert priced(whole, nothing, exact.multipliers) == (whole, 1.0)


def test_weights_of_zero_are_no_labels_and_a_problem_without_labels_lacks_none() -> None:
    asked = problem()
    assert asked.comparisons is not None
    weights = np.ones((2000, 3))
    weights[:, 1] = 0.0
    silent = replace(asked, comparisons=replace(asked.comparisons, weights=weights))
    assert unlabelled(silent, silent).tolist() == [True, False]
    bare = replace(asked, comparisons=None)
    assert unlabelled(bare, bare).tolist() == [False, False]


def test_periods_without_labels_are_told() -> None:
    found = diagnose_run(
        Signals(step=[1, 2], unlabelled=[[0, 0], [0, 3]]), objectives=("help", "harm", "short")
    )
    assert [(f.name, f.value) for f in found] == [("periods without labels: short", 3.0)]
    assert "train.lag.rows" in found[0].remedy


@pytest.mark.slow
def test_a_period_is_as_sure_as_its_own_labels_and_not_as_those_of_all_rows() -> None:
    """Half of the prompts leave a bound that lies about the root of two further below its value: eight draws of labels."""
    room = np.empty((8, 2, 2))
    for seed, part in np.ndindex(8, 2):
        asked, rows = problem(seed=seed), (np.ones(320, dtype=bool), HALF)[part]
        found = refresh(planned(asked), asked, np.zeros(320), rows, **LIMITS)
        assert (found.bounds >= asked.thresholds - 1e-6).all()
        room[seed, part] = found.targets - found.bounds
    further = np.exp(np.log(room[:, 1] / room[:, 0]).mean(axis=0))
    assert (further > 1.2).all()
    assert (further < 1.7).all()
