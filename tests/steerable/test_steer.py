"""From thresholds to words: a mixture of measured points."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.steerable.policy import Point, Steerable
from mopo_pipeline.steerable.steer import least_given_way, shares_for

VALUES = np.array([[0.8, 0.2, 0.3], [0.6, 0.6, 0.3], [0.5, 0.3, 0.7], [0.3, 0.6, 0.7]])


def test_the_best_mixture_is_found() -> None:
    """Beside all mixtures on a grid of a fortieth."""
    asked = np.array([0.45, 0.5])
    shares = shares_for(VALUES, VALUES[:, 1:], asked)
    assert shares.sum() == pytest.approx(1.0) and (shares >= 0).all()
    assert np.count_nonzero(shares) <= 3
    reached = shares @ VALUES
    assert (reached[1:] >= asked - 1e-9).all()
    others = [
        np.array([*parts, 40 - sum(parts)]) / 40
        for parts in product(range(41), repeat=3)
        if sum(parts) <= 40
    ]
    holding = [w @ VALUES for w in others if ((w @ VALUES)[1:] >= asked - 1e-9).all()]
    assert reached[0] >= max(value[0] for value in holding) - 1e-9
    assert reached[0] <= max(value[0] for value in holding) + 0.02


def test_thresholds_that_do_not_bind_leave_the_best_primary_alone() -> None:
    assert shares_for(VALUES, VALUES[:, 1:], np.array([0.1, 0.1])).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_bounds_hold_thresholds_and_values_choose_among_those() -> None:
    bounds = VALUES[:, 1:] - np.array([[0.0], [0.2], [0.0], [0.0]])
    plain, sure = (shares_for(VALUES, b, np.array([0.5, 0.3])) for b in (VALUES[:, 1:], bounds))
    assert sure @ bounds[:, 0] >= 0.5 - 1e-9
    assert sure @ VALUES[:, 0] < plain @ VALUES[:, 0]


def test_thresholds_out_of_reach_are_refused_with_some_that_are_not() -> None:
    asked = np.array([0.9, 0.9])
    with pytest.raises(InputError, match="lowered alike") as refused:
        shares_for(VALUES, VALUES[:, 1:], asked)
    gave = least_given_way(VALUES[:, 1:], asked)
    advised = [float(text) for text in re.findall(r"0\.\d+", str(refused.value))][2:]
    assert 0.0 <= (0.9 - gave) - advised[0] < 1e-3
    shares_for(VALUES, VALUES[:, 1:], np.array(advised))
    shares_for(VALUES, VALUES[:, 1:], asked - gave - 1e-9)
    with pytest.raises(InputError):
        shares_for(VALUES, VALUES[:, 1:], asked - gave + 1e-3)
    with pytest.raises(InputError, match=r"harm 0\.500, short 0\.400 are out") as nothing:
        shares_for(VALUES, VALUES[:, 1:] - 0.9, np.array([0.5, 0.4]), ("harm", "short"))
    assert "below 0 alone" in str(nothing.value)
    assert "-0." not in str(nothing.value)


@pytest.fixture
def policy(tmp_path: Path) -> Steerable:
    levels = list(product(range(2), repeat=2))
    points = tuple(
        Point(level, level, tuple(v), tuple(v[1:]))
        for level, v in zip(levels, VALUES.tolist(), strict=True)
    )
    return Steerable(tmp_path, ("help", "harm", "short"), points, Budget(8, 2, 1, 0.5))


def test_what_was_measured_is_read_as_it_was_written(policy: Steerable) -> None:
    policy.write()
    assert Steerable.read(policy.folder) == policy


def test_thresholds_become_words_with_shares_and_measured_values(policy: Steerable) -> None:
    steered = policy.at({"short": 0.3, "harm": 0.4}, 512)
    assert steered.words == ("<harm:0> <short:0>", "<harm:0> <short:1>")
    assert steered.shares == pytest.approx((0.5, 0.5))
    assert steered.values == pytest.approx((0.7, 0.4, 0.3))


def test_the_nearest_that_can_be_held_is_what_is_asked_where_that_is_in_reach(
    policy: Steerable,
) -> None:
    inside = {"harm": 0.4, "short": 0.3}
    assert policy.at(inside, 512, nearest=True) == policy.at(inside, 512)
    beyond = policy.at({"harm": 0.9, "short": 0.7}, 512, nearest=True)
    gave = least_given_way(VALUES[:, 1:], np.array([0.9, 0.7]))
    np.testing.assert_allclose(beyond.values[1], 0.9 - gave)
    assert beyond.values[2] >= 0.7 - gave - 1e-9


@pytest.mark.parametrize("given", [{"harm": 0.3}, {"harm": 0.3, "short": 0.3, "help": 0.5}])
def test_a_threshold_is_given_for_each_constrained_objective(
    policy: Steerable, given: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="a threshold for each of harm, short"):
        policy.at(given, 512)


def test_a_folder_without_a_steerable_policy_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--pipelines=steerable"):
        Steerable.read(tmp_path)
