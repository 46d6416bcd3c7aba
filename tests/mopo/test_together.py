"""How far a threshold rises while the others are held: what solving again says, within a step."""

import numpy as np
import pytest

from mopo_pipeline.mopo import (
    InfeasibleThresholdsError,
    NotConvergedError,
    attainable_bounds,
    lowered_alone,
    raised_alone,
    solve_dual,
    without_thresholds,
)

RNG = np.random.default_rng(3)
VALUES = RNG.uniform(0.1, 0.9, (120, 3))
VALUES[:, 1] = 1 - VALUES[:, 0]
GIVEN = {"tau": 0.1, "groups": np.repeat(np.arange(12), 10), "pooling": None}
ASKED = np.array([0.5, 0.45])


@pytest.fixture(scope="module")
def paths() -> tuple[np.ndarray, ...]:
    solved = solve_dual(VALUES, ASKED, **GIVEN)
    ends = attainable_bounds(VALUES, **GIVEN)[1:, 1]
    return raised_alone(VALUES, ASKED, solved.multipliers, ends, **GIVEN)


def test_a_path_begins_at_the_plan_and_rises_at_the_primarys_cost(
    paths: tuple[np.ndarray, ...],
) -> None:
    planned = solve_dual(VALUES, ASKED, **GIVEN).values[0]
    for k, path in enumerate(paths):
        assert path[0] == pytest.approx([ASKED[k], planned], abs=1e-6)
        assert (np.diff(path[:, 0]) > 0).all()
        assert (np.diff(path[:, 1]) < 1e-9).all()


def test_the_end_of_a_path_can_be_held_with_the_others_and_what_lies_beyond_cannot(
    paths: tuple[np.ndarray, ...],
) -> None:
    ends = attainable_bounds(VALUES, **GIVEN)[1:, 1]
    for k, path in enumerate(paths):
        asked = ASKED.copy()
        asked[k] = path[-1, 0]
        assert solve_dual(VALUES, asked, **GIVEN).values[0] == pytest.approx(path[-1, 1], abs=1e-4)
        asked[k] = path[-1, 0] + (ends[k] - ASKED[k]) / 16
        if asked[k] < ends[k]:
            with pytest.raises((InfeasibleThresholdsError, NotConvergedError)):
                solve_dual(VALUES, asked, **GIVEN)


def test_a_lowered_path_ends_at_the_plan_and_begins_where_its_threshold_costs_nothing() -> None:
    solved = solve_dual(VALUES, ASKED, **GIVEN)
    for k, path in enumerate(lowered_alone(VALUES, ASKED, solved.multipliers, **GIVEN)):
        assert path[-1] == pytest.approx([ASKED[k], solved.values[0]], abs=1e-6)
        assert (np.diff(path[:, 0]) >= 0).all()
        asked = ASKED.copy()
        asked[k] = path[0, 0]
        cheapest = solve_dual(VALUES, asked, **GIVEN)
        assert cheapest.values[0] == pytest.approx(path[0, 1], abs=1e-6)
        asked[k] = path[0, 0] - 0.05
        assert solve_dual(VALUES, asked, **GIVEN).values[0] == pytest.approx(path[0, 1], abs=1e-6)
    assert path.shape[1] == 2


def test_a_threshold_that_costs_nothing_has_no_path_below_it() -> None:
    easy = np.array([0.05, 0.05])
    solved = solve_dual(VALUES, easy, **GIVEN)
    assert (solved.multipliers == 0).all()
    for k, path in enumerate(lowered_alone(VALUES, easy, solved.multipliers, **GIVEN)):
        np.testing.assert_allclose(path, [[easy[k], solved.values[0]]])


def test_without_thresholds_the_primary_is_as_high_as_when_none_binds() -> None:
    free = without_thresholds(VALUES, **GIVEN)
    np.testing.assert_allclose(
        free, solve_dual(VALUES, np.array([0.05, 0.05]), **GIVEN).values, atol=1e-9
    )
    assert free[0] > solve_dual(VALUES, ASKED, **GIVEN).values[0]
