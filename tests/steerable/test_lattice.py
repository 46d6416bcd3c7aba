"""Multipliers on a lattice, and what rows weigh at them."""

import numpy as np
import pytest

from mopo_pipeline.mopo import solve_dual
from mopo_pipeline.steerable.lattice import BEYOND, LEAST_END, drawn_in_turn, lattice, row_weights

WIN_RATES = np.random.default_rng(0).uniform(0.1, 0.9, (60, 3))
GROUPS = np.repeat(np.arange(6), 10)


def test_the_lattice_spans_the_plans_multipliers_and_begins_at_none() -> None:
    plans = np.array([[0.0, 2.0], [0.4, 0.0]])
    found = lattice(plans, 9)
    assert found.count == 3 and found.levels.shape == (9, 2)
    assert found.multipliers[0].tolist() == [0.0, 0.0]
    assert found.multipliers[-1].tolist() == [LEAST_END, 2.0 * BEYOND]
    assert (found.multipliers.max(axis=0) >= plans.max(axis=0)).all()
    np.testing.assert_allclose(found.multipliers, found.levels / 2 * found.multipliers[-1])


@pytest.mark.parametrize("plans", [np.zeros((0, 2)), np.zeros((1, 2))])
def test_plans_that_bind_nowhere_still_leave_two_levels_of_each(plans: np.ndarray) -> None:
    found = lattice(plans, 1)
    assert found.levels.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert (found.multipliers[-1] == LEAST_END).all()


@pytest.mark.parametrize("pooling", [0.0, 4.0, np.inf])
def test_rows_weigh_what_the_dual_says_at_its_own_multipliers(pooling: float) -> None:
    given = {"tau": 0.2, "groups": GROUPS, "pooling": pooling}
    solved = solve_dual(WIN_RATES, [0.55, 0.5], **given)
    assert (solved.multipliers > 0).all()
    weights = row_weights(WIN_RATES, GROUPS, solved.multipliers, tau=0.2, pooling=pooling)
    np.testing.assert_allclose(weights, solved.ratio, rtol=1e-9)


def test_rows_are_drawn_within_one_of_what_they_weigh() -> None:
    weights = np.random.default_rng(1).uniform(0.0, 1.0, 50) ** 4
    expected = 400 * weights / weights.sum()
    for seed in range(5):
        drawn = drawn_in_turn(weights, 400, np.random.default_rng(seed))
        counts = np.bincount(drawn, minlength=50)
        assert counts.sum() == 400
        assert (np.abs(counts - expected) < 1.0).all()
