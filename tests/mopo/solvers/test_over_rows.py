"""The two robust settings: over rows against a cone programme, over comparisons by hand."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import instance, mixture, regularised_optimum

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    attainable_range,
    lower_bound,
    solve_dual,
)


def check_against_the_cone_programme(
    seed: int, k: int, epsilon: float, tau: float, place: float
) -> None:
    """Thresholds are the bounds of one policy, so that they can be met and mostly bind."""
    win_rates, mass, ids = instance(seed, k, groups=5)
    share = mass / mass.sum()
    policy = mixture(win_rates, mass, ids, place)
    thresholds = np.array(
        [lower_bound(policy * column, share, epsilon).value for column in win_rates.T[1:]]
    )
    found = solve_dual(win_rates, thresholds, tau=tau, reference=mass, groups=ids, epsilon=epsilon)
    expected, _ = regularised_optimum(win_rates, thresholds, tau, mass, ids, epsilon)
    logs = np.log(np.where(found.ratio > 0, found.ratio, 1.0))
    assert found.values[0] - tau * share @ (found.ratio * logs) == pytest.approx(expected, abs=1e-4)
    assert abs(found.duality_gap) < 1e-6
    assert (found.bounds >= thresholds - 1e-6).all()
    for j in range(1, k):
        direct = lower_bound(found.ratio * win_rates[:, j], share, epsilon).value
        assert found.bounds[j - 1] == pytest.approx(direct, abs=1e-6)


problems = given(
    st.integers(0, 10**6),
    st.integers(2, 6),
    st.floats(0.001, 0.1),
    st.floats(0.05, 1.0),
    st.floats(0.0, 0.9),
)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@problems
@example(seed=4380, k=2, epsilon=0.00390625, tau=0.05078125, place=0.0)
@example(seed=5079, k=6, epsilon=0.001, tau=0.78125, place=0.015625)
def test_row_robust_optimum_matches_the_cone_programme(
    seed: int, k: int, epsilon: float, tau: float, place: float
) -> None:
    check_against_the_cone_programme(seed, k, epsilon, tau, place)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@problems
def test_row_robust_optimum_matches_the_cone_programme_on_hundreds(
    seed: int, k: int, epsilon: float, tau: float, place: float
) -> None:
    check_against_the_cone_programme(seed, k, epsilon, tau, place)


@pytest.mark.parametrize("pooling", [0.0, np.inf])
@pytest.mark.parametrize("tau", [5e-3, 1e-3])
@pytest.mark.slow
def test_a_small_temperature_is_reached_by_cooling(tau: float, pooling: float) -> None:
    """Newton from zero fails here; feasible thresholds were once called out of reach."""
    win_rates = np.random.default_rng(0).random((12, 3))
    given_ = {"groups": np.repeat(np.arange(4), 3), "epsilon": 0.01, "pooling": pooling}
    found = solve_dual(win_rates, [0.4, 0.4], tau=tau, **given_)
    assert (found.bounds >= 0.4 - 1e-7).all()
    assert abs(found.duality_gap) < 1e-6


@pytest.mark.slow
def test_robust_degenerate_inputs_have_an_answer() -> None:
    equal = np.full((6, 2), 0.5)
    flat = solve_dual(equal, [0.5], tau=0.1, epsilon=0.01)
    np.testing.assert_allclose(flat.ratio, 1.0, atol=1e-9)
    win_rates = np.random.default_rng(0).random((12, 3))
    groups = np.repeat(np.arange(4), 3)
    single = solve_dual(win_rates, [0.3, 0.3], tau=0.1, epsilon=0.01, groups=np.arange(12))
    np.testing.assert_allclose(single.ratio, 1.0, atol=1e-12)
    high = attainable_range(win_rates, tau=0.1, groups=groups, epsilon=0.01)[1, 1]
    edge = solve_dual(win_rates, [high, 0.0], tau=0.1, epsilon=0.01, groups=groups)
    assert edge.bounds[0] == pytest.approx(high, abs=1e-6)
    barred = solve_dual(
        win_rates, [high, 0.0], tau=0.1, epsilon=0.01, groups=groups, variant="log_barrier"
    )
    assert barred.status == ("violated", "inactive")
    with pytest.raises(InfeasibleThresholdsError) as caught:
        solve_dual(win_rates, [high + 0.01, 0.0], tau=0.1, epsilon=0.01, groups=groups)
    assert caught.value.attainable[0] == pytest.approx(high, abs=1e-5)
    assert caught.value.relaxed[0] == pytest.approx(high, abs=1e-3)


def pairs(seed: int, n: int = 60) -> tuple[np.ndarray, Comparisons]:
    """Rows of one prompt and comparisons with predictions and some missing labels."""
    rng = np.random.default_rng(seed)
    win_rates = np.column_stack([np.linspace(0.2, 0.8, 6), np.linspace(0.8, 0.2, 6)])
    first, second = rng.integers(0, 3, n), rng.integers(3, 6, n)
    labels = (rng.random((n, 2)) < 0.5).astype(float)
    labels[::7, 1] = np.nan
    predicted = np.clip(rng.random((n, 2)), 0.05, 0.95)
    return win_rates, Comparisons(first, second, labels, predicted)


def test_statistical_bound_is_the_one_of_the_formula() -> None:
    win_rates, comparisons = pairs(0)
    found = solve_dual(win_rates, [0.3], tau=0.3, epsilon=0.01, comparisons=comparisons)
    ratio = found.ratio
    i, j = comparisons.first, comparisons.second
    label, predicted = comparisons.labels[:, 1], comparisons.predicted[:, 1]
    f = 0.5 * (ratio[i] * win_rates[i, 1] + ratio[j] * win_rates[j, 1])
    f += 0.5 * (ratio[i] - ratio[j]) * (label - predicted)
    f = f[~np.isnan(label)]
    assert found.bounds[0] == pytest.approx(lower_bound(f, None, 0.01).value, abs=1e-8)


def test_without_a_model_the_label_itself_counts() -> None:
    win_rates, given_ = pairs(1)
    comparisons = Comparisons(given_.first, given_.second, given_.labels)
    found = solve_dual(win_rates, [0.2], tau=0.5, epsilon=0.02, comparisons=comparisons)
    i, j, label = given_.first, given_.second, given_.labels[:, 1]
    f = 0.5 * (found.ratio[i] * label + found.ratio[j] * (1 - label))
    expected = lower_bound(f[~np.isnan(label)], None, 0.02).value
    assert found.bounds[0] == pytest.approx(expected, abs=1e-8)


def test_swapping_sides_and_flipping_labels_changes_nothing() -> None:
    win_rates, c = pairs(2)
    swapped = Comparisons(c.second, c.first, 1 - c.labels, 1 - c.predicted)
    one = solve_dual(win_rates, [0.35], tau=0.3, epsilon=0.01, comparisons=c)
    two = solve_dual(win_rates, [0.35], tau=0.3, epsilon=0.01, comparisons=swapped)
    np.testing.assert_allclose(one.ratio, two.ratio, atol=1e-9)


def test_multiplier_is_the_smallest_that_holds_the_bound() -> None:
    win_rates, comparisons = pairs(3)
    loose = solve_dual(win_rates, [0.0], tau=0.3, epsilon=0.01, comparisons=comparisons)
    assert loose.multipliers[0] == 0.0
    threshold = loose.bounds[0] + 0.03
    found = solve_dual(win_rates, [threshold], tau=0.3, epsilon=0.01, comparisons=comparisons)
    assert found.bounds[0] == pytest.approx(threshold, abs=1e-7)
    assert found.multipliers[0] > 0


def test_a_wide_radius_makes_thresholds_unreachable_and_says_so() -> None:
    win_rates, comparisons = pairs(4)
    with pytest.raises(InfeasibleThresholdsError):
        solve_dual(win_rates, [0.5], tau=0.3, epsilon=1.0, comparisons=comparisons)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"first": [9]}, "9"),
        ({"labels": [[0.5, 1.5]]}, "1.5"),
        ({"labels": [[0.5, 0.5, 0.5]]}, "label"),
        ({"predicted": [[0.5, 1.5]]}, "predicted"),
        ({"labels": [[1.0, float("nan")]]}, "label"),
    ],
)
def test_bad_comparisons_are_named(change: dict[str, object], expected: str) -> None:
    given_ = {"first": [0], "second": [1], "labels": [[1.0, 0.0]]} | change
    with pytest.raises(InputError, match=expected):
        solve_dual(
            [[0.2, 0.8], [0.8, 0.2]],
            [0.4],
            tau=0.1,
            epsilon=0.01,
            comparisons=Comparisons(**given_),
        )
