"""Thresholds placed where they can be met together, and solves that begin at a neighbour's multipliers."""

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual
from mopo_pipeline.mopo.joint import joint_grid

POSITIONS = (0.0, 0.4, 0.8)
GIVEN = {"tau": 0.1, "groups": np.repeat(np.arange(12), 8), "pooling": 4.0}


@pytest.fixture(scope="module")
def win_rates() -> np.ndarray:
    """Three objectives that pull apart: what is good for one costs the others."""
    rng = np.random.default_rng(5)
    rates = rng.uniform(0.1, 0.9, (96, 3))
    rates[:, 1:] = 0.7 * (1.0 - rates[:, :1]) + 0.3 * rates[:, 1:]
    rates[:, 2] = 0.5 * rates[:, 2] + 0.5 * (1.0 - rates[:, 1])
    return rates


@pytest.fixture(scope="module")
def grid(win_rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return joint_grid(win_rates, POSITIONS, **GIVEN)


def test_every_point_of_the_grid_is_met_by_the_multipliers_that_come_with_it(
    win_rates: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> None:
    assert len(grid[0]) == len(POSITIONS) ** 2
    for thresholds, multipliers in zip(*grid, strict=True):
        solved = solve_dual(win_rates, thresholds, **GIVEN)
        np.testing.assert_allclose(solved.multipliers, multipliers, atol=1e-6)
        assert (solved.bounds >= thresholds - 1e-6).all()


def test_a_neighbour_s_multipliers_change_the_time_and_not_the_solution(
    win_rates: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> None:
    for thresholds, start in zip(grid[0][1:], grid[1][:-1], strict=True):
        cold = solve_dual(win_rates, thresholds, **GIVEN)
        warm = solve_dual(win_rates, thresholds, start=start, **GIVEN)
        np.testing.assert_allclose(warm.multipliers, cold.multipliers, atol=1e-7)
        np.testing.assert_allclose(warm.ratio, cold.ratio, atol=1e-5)


def test_the_first_position_is_where_a_threshold_begins_to_bind(
    win_rates: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> None:
    np.testing.assert_array_equal(grid[1][0], 0.0)
    free = solve_dual(win_rates, [0.0, 0.0], **GIVEN)
    np.testing.assert_allclose(grid[0][0], free.bounds, atol=1e-9)


def test_beyond_the_last_position_nothing_is_met(win_rates: np.ndarray) -> None:
    thresholds, _ = joint_grid(win_rates, (1.0,), **GIVEN)
    with pytest.raises(InfeasibleThresholdsError):
        solve_dual(win_rates, thresholds[0] + [0.0, 0.03], **GIVEN)


def test_what_each_reaches_alone_is_out_of_reach_together(
    win_rates: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> None:
    """The reason for the nested ranges: the box of the single ranges has corners that no policy meets."""
    tops = [joint_grid(win_rates[:, [0, k]], (1.0,), **GIVEN)[0][0, 0] for k in (1, 2)]
    with pytest.raises(InfeasibleThresholdsError):
        solve_dual(win_rates, [0.95 * top for top in tops], **GIVEN)


@pytest.mark.parametrize(
    ("columns", "positions", "said"),
    [
        ([0], (0.0,), "one objective has no thresholds"),
        ([0, 1], (1.5,), r"positions must lie in \[0, 1\]"),
    ],
)
def test_what_is_no_grid_is_refused(
    win_rates: np.ndarray, columns: list[int], positions: tuple[float, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        joint_grid(win_rates[:, columns], positions, **GIVEN)


def test_multipliers_to_start_from_are_checked(win_rates: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"start needs one multiplier >= 0 .*\(2\), got \[-1.0, 0.0\]"
    ):
        solve_dual(win_rates, [0.4, 0.4], start=[-1.0, 0.0], **GIVEN)
