"""Dominance, indicators and the true front."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto import (
    SetRelation,
    additive_epsilon,
    bootstrap_interval,
    compare_sets,
    expected_utility,
    hypervolume,
    igd_plus,
    non_dominated,
    true_front,
    true_front_at,
)

clouds = st.integers(0, 10**6).map(
    lambda seed: np.round(
        np.random.default_rng(seed).random((12, 2 + seed % 3)), 1 if seed % 2 else 6
    )
)


@settings(max_examples=100, deadline=None)
@given(clouds)
def test_non_dominated_by_brute_force(points: np.ndarray) -> None:
    expected = [not any((q >= p).all() and (q > p).any() for q in points) for p in points]
    kept = non_dominated(points)
    np.testing.assert_array_equal(
        np.unique(points[kept], axis=0), np.unique(points[np.array(expected)], axis=0)
    )


def test_hypervolume_of_two_boxes() -> None:
    """(1, .5) and (.5, 1) over the origin: .5 + .5 - .25."""
    assert hypervolume([[1.0, 0.5], [0.5, 1.0]], [0.0, 0.0]) == pytest.approx(0.75)


@settings(max_examples=40, deadline=None)
@given(clouds)
def test_hypervolume_grows_with_points_and_ignores_dominated_ones(points: np.ndarray) -> None:
    zero = np.zeros(points.shape[1])
    whole = hypervolume(points, zero)
    assert hypervolume(points[:5], zero) <= whole + 1e-12
    assert hypervolume(points[non_dominated(points)], zero) == pytest.approx(whole)


def test_a_front_is_at_no_distance_from_itself() -> None:
    front = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    assert igd_plus(front, front) == 0.0
    assert additive_epsilon(front, front) == 0.0
    assert additive_epsilon(front - 0.1, front) == pytest.approx(0.1)
    assert igd_plus(front - 0.1, front) > 0


@settings(max_examples=60, deadline=None)
@given(clouds, st.integers(0, 10**6))
def test_indicators_by_brute_force(points: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    front = rng.random((7, points.shape[1]))
    short = np.maximum(front[:, None] - points[None], 0)
    assert igd_plus(points, front) == pytest.approx(
        np.linalg.norm(short, axis=2).min(axis=1).mean(), abs=1e-12
    )
    gaps = (front[:, None] - points[None]).max(axis=2).min(axis=1)
    assert additive_epsilon(points, front) == pytest.approx(gaps.max(), abs=1e-12)
    weights = rng.random((5, points.shape[1]))
    best = [max(float(w @ p) for p in points) for w in weights]
    assert expected_utility(points, weights) == pytest.approx(np.mean(best), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(clouds)
def test_indicators_ignore_the_order_of_points_and_objectives(points: np.ndarray) -> None:
    front = points[::2] * 0.9 + 0.05
    turned, turned_front = points[::-1, ::-1], front[::-1, ::-1]
    for indicator in (igd_plus, additive_epsilon):
        assert indicator(turned, turned_front) == pytest.approx(indicator(points, front), abs=1e-12)
    assert hypervolume(turned) == pytest.approx(hypervolume(points), abs=1e-12)
    assert expected_utility(turned) == pytest.approx(expected_utility(points), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(clouds, clouds)
def test_relations_between_sets_are_consistent(first: np.ndarray, second: np.ndarray) -> None:
    size = min(first.shape[1], second.shape[1])
    a, b = first[:, :size], second[:, :size]
    opposite = {
        SetRelation.BETTER: SetRelation.WORSE,
        SetRelation.WORSE: SetRelation.BETTER,
    }
    relation = compare_sets(a, b)
    assert compare_sets(b, a) is opposite.get(relation, relation)
    assert compare_sets(a + 0.01, a) is SetRelation.BETTER
    assert compare_sets(np.vstack([a, a - 0.1]), a) is SetRelation.EQUAL
    if relation is SetRelation.BETTER:
        assert hypervolume(a) >= hypervolume(b) - 1e-12
        assert additive_epsilon(a, b) <= 1e-12


def test_true_front_of_two_vertices_is_the_segment() -> None:
    win_rates = np.array([[0.8, 0.2], [0.2, 0.8], [0.4, 0.4]])
    value, policy = true_front_at(win_rates, [0.5])
    np.testing.assert_allclose(value, [0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(policy, [0.5, 0.5, 0.0], atol=1e-9)
    np.testing.assert_allclose(true_front(win_rates).sum(1), 1.0, atol=1e-6)


def test_bootstrap_interval_covers_the_mean() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        sample = rng.normal(0.5, 0.2, (80, 1))
        found = bootstrap_interval(
            lambda means: float(means[0]), sample, rng=rng, confidence=0.9, replicates=300
        )
        hits += found.low <= 0.5 <= found.high
    assert 45 <= hits <= 60


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_points_are_refused(bad: float) -> None:
    points, good = [[0.5, bad]], [[0.5, 0.5]]
    for call in (
        lambda: non_dominated(points),
        lambda: hypervolume(points),
        lambda: igd_plus(points, good),
        lambda: igd_plus(good, points),
        lambda: additive_epsilon(points, good),
        lambda: expected_utility(points),
        lambda: compare_sets(good, points),
    ):
        with pytest.raises(InputError, match=rf"must be finite, got {bad} at row 0, column 1"):
            call()
