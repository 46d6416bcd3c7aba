"""How far a threshold rises while the others are held: what solving again says, within a step."""

import numpy as np
import pytest

from mopo_pipeline.mopo import (
    InfeasibleThresholdsError,
    NotConvergedError,
    attainable_bounds,
    raised_alone,
    solve_dual,
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
