"""The exact dual against a cone solver, its certificate, and what must not change the answer."""

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import (
    barrier_optimum,
    instance,
    linear_optimum,
    mixture,
    regularised_optimum,
)

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import InfeasibleThresholdsError, NotConvergedError, solve_dual
from mopo_pipeline.mopo.solvers import barrier, plain


def reachable(win_rates: np.ndarray, mass: np.ndarray, ids: np.ndarray, place: float) -> np.ndarray:
    """Thresholds that one policy meets."""
    ratio = mixture(win_rates, mass, ids, place)
    return (mass / mass.sum() * ratio) @ win_rates[:, 1:]


def check_against_the_cone_programme(seed: int, k: int, tau: float, place: float) -> None:
    win_rates, mass, ids = instance(seed, k)
    thresholds = reachable(win_rates, mass, ids, place)
    found = solve_dual(win_rates, thresholds, tau=tau, reference=mass, groups=ids)
    expected, ratio = regularised_optimum(win_rates, thresholds, tau, mass, ids)
    share = mass / mass.sum()
    logs = np.log(np.where(found.ratio > 0, found.ratio, 1.0))
    achieved = found.values[0] - tau * share @ (found.ratio * logs)
    assert achieved == pytest.approx(expected, abs=1e-5)
    assert found.values[0] == pytest.approx(share @ (ratio * win_rates[:, 0]), abs=2e-4)
    assert abs(found.duality_gap) < 1e-6
    assert (found.values[1:] >= thresholds - 1e-7).all()
    for g in np.unique(ids):
        rows = ids == g
        assert mass[rows] @ found.ratio[rows] / mass[rows].sum() == pytest.approx(1, abs=1e-10)
    assert (found.multipliers * (found.values[1:] - thresholds) < 1e-6).all()


problems = given(
    st.integers(0, 10**6), st.integers(1, 6), st.floats(0.05, 1.0), st.floats(0.0, 0.9)
)


@settings(max_examples=60, deadline=None)
@problems
@pytest.mark.slow
def test_matches_the_cone_programme(seed: int, k: int, tau: float, place: float) -> None:
    check_against_the_cone_programme(seed, k, tau, place)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@problems
def test_matches_the_cone_programme_on_hundreds(
    seed: int, k: int, tau: float, place: float
) -> None:
    check_against_the_cone_programme(seed, k, tau, place)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 4),
    st.floats(0.1, 1.0),
    st.floats(0.0, 0.6),
    st.floats(-0.05, 0.0),
)
@example(seed=436, k=3, tau=0.125, place=0.25, room=0.0)
def test_log_barrier_matches_a_direct_search(
    seed: int, k: int, tau: float, place: float, room: float
) -> None:
    """Thresholds with room, where the barrier is a logarithm, and without, where it is a parabola."""
    win_rates = np.random.default_rng(seed).random((6, k))
    one_prompt = np.zeros(6, dtype=int)
    thresholds = reachable(win_rates, np.ones(6), one_prompt, place) + room
    found = solve_dual(win_rates, thresholds, tau=tau, variant="log_barrier")
    expected, ratio = barrier_optimum(
        win_rates, thresholds, tau, barrier.STRENGTH, barrier.SMALL_SLACK
    )
    logs = np.log(np.where(found.ratio > 0, found.ratio, 1.0))
    achieved = found.values[0] - tau * (found.ratio * logs).mean()
    achieved += barrier.utility(found.values[1:] - thresholds)
    assert achieved == pytest.approx(expected, abs=1e-5)
    assert abs(found.duality_gap) < 1e-6
    np.testing.assert_allclose(found.ratio, ratio, atol=5e-3)


def test_log_barrier_keeps_the_slack_sigma_over_lambda_or_says_that_it_cannot() -> None:
    win_rates = np.array([[0.9, 0.1], [0.1, 0.8], [0.5, 0.5]])
    inside = solve_dual(win_rates, [0.4], tau=0.3, variant="log_barrier")
    assert inside.values[1] - 0.4 == pytest.approx(barrier.STRENGTH / inside.multipliers[0])
    assert inside.status == ("active",)
    edge = solve_dual(win_rates, [0.8], tau=0.3, variant="log_barrier")
    assert edge.values[1] < 0.8 - 1e-4
    assert edge.status == ("violated",)


def test_one_objective_is_the_softmax() -> None:
    win_rates = np.array([[0.2], [0.5], [0.9]])
    found = solve_dual(win_rates, [], tau=0.5)
    expected = np.exp(win_rates[:, 0] / 0.5)
    np.testing.assert_allclose(found.ratio, expected / expected.mean(), rtol=1e-12)
    assert found.multipliers.shape == (0,)


def test_golden_two_rows() -> None:
    """Two rows, s = (1, 0) and (0, 1), uniform: the constraint alone fixes the policy.

    G_1 = 1 - p for p the mass on row 0, so b = .6 gives p = .4 where it binds; stationarity
    log(p / (1-p)) = (1 - lambda) / tau gives lambda = 1 - tau log(2/3) = 1.405465 at tau = 1.
    """
    found = solve_dual([[1.0, 0.0], [0.0, 1.0]], [0.6], tau=1.0)
    np.testing.assert_allclose(found.ratio, [0.8, 1.2], atol=1e-7)
    assert found.multipliers[0] == pytest.approx(1 - np.log(2 / 3), abs=1e-6)
    assert found.status == ("active",)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [0.0, 3.0, np.inf])
@pytest.mark.parametrize("variant", ["lagrangian", "log_barrier"])
def test_permuting_constraints_permutes_the_solution(pooling: float, variant: str) -> None:
    win_rates, mass, ids = instance(3, k=4)
    thresholds = reachable(win_rates, mass, ids, 0.4)
    order = [2, 0, 1]
    given_ = {"tau": 0.2, "reference": mass, "groups": ids, "pooling": pooling, "variant": variant}
    one = solve_dual(win_rates, thresholds, **given_)
    other = solve_dual(win_rates[:, [0, 3, 1, 2]], thresholds[order], **given_)
    np.testing.assert_allclose(one.multipliers[order], other.multipliers, atol=1e-6)
    np.testing.assert_allclose(one.ratio, other.ratio, atol=1e-6)


def test_rows_in_any_order_and_split_mass_change_nothing() -> None:
    win_rates, mass, ids = instance(4)
    thresholds = reachable(win_rates, mass, ids, 0.5)
    whole = solve_dual(win_rates, thresholds, tau=0.1, reference=mass, groups=ids)
    order = np.random.default_rng(0).permutation(len(mass))
    shuffled = solve_dual(
        win_rates[order], thresholds, tau=0.1, reference=mass[order], groups=ids[order]
    )
    np.testing.assert_allclose(whole.ratio[order], shuffled.ratio, atol=1e-8)
    twice = solve_dual(
        np.repeat(win_rates, 2, axis=0),
        thresholds,
        tau=0.1,
        reference=np.repeat(mass / 2, 2),
        groups=np.repeat(ids, 2),
    )
    np.testing.assert_allclose(twice.ratio[::2], whole.ratio, atol=1e-7)


def test_zero_mass_rows_are_ignored() -> None:
    win_rates, mass, ids = instance(5)
    mass[2] = 0.0
    kept = mass > 0
    found = solve_dual(win_rates, [0.4, 0.4], tau=0.2, reference=mass, groups=ids)
    without = solve_dual(
        win_rates[kept], [0.4, 0.4], tau=0.2, reference=mass[kept], groups=ids[kept]
    )
    np.testing.assert_allclose(found.values, without.values, atol=1e-9)


def test_degenerate_inputs_have_an_answer() -> None:
    equal = np.full((6, 2), 0.5)
    flat = solve_dual(equal, [0.5], tau=0.1)
    np.testing.assert_allclose(flat.ratio, 1.0, atol=1e-9)
    single = solve_dual([[0.3, 0.6], [0.4, 0.5]], [0.5], tau=0.1, groups=[0, 1])
    np.testing.assert_allclose(single.ratio, 1.0, atol=1e-12)
    redundant = np.column_stack([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.2, 0.8, 0.5]])
    twice = solve_dual(redundant, [0.6, 0.6], tau=0.2)
    once = solve_dual(redundant[:, :2], [0.6], tau=0.2)
    np.testing.assert_allclose(twice.values[:2], once.values, atol=1e-7)


def test_threshold_at_the_attainable_maximum() -> None:
    win_rates = np.array([[0.9, 0.1], [0.1, 0.8], [0.5, 0.5]])
    found = solve_dual(win_rates, [0.8], tau=0.1)
    assert found.values[1] == pytest.approx(0.8, abs=1e-4)


def test_a_search_that_stopped_below_a_threshold_is_no_solution_however_small_its_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At multipliers of zero the gap is zero whatever the thresholds are."""
    win_rates, asked = np.array([[0.8, 0.2], [0.2, 0.8]]), np.array([0.6])
    solve_dual(win_rates, asked, tau=0.3)
    monkeypatch.setattr(plain, "minimise", partial(plain.minimise, max_steps=0))
    with pytest.raises(NotConvergedError, match="did not converge"):
        solve_dual(win_rates, asked, tau=0.3)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_out_of_reach_says_what_is_attainable(seed: int, k: int) -> None:
    win_rates, mass, ids = instance(seed, k, groups=4)
    alone = np.array(
        [linear_optimum(win_rates, np.zeros(k - 1), mass, ids, j) for j in range(1, k)]
    )
    asked = np.minimum(alone - 0.002, 1.0)
    jointly = linear_optimum(win_rates, asked, mass, ids)
    if jointly is not None:
        solve_dual(win_rates, asked, tau=0.3, reference=mass, groups=ids)
        return
    with pytest.raises(InfeasibleThresholdsError) as caught:
        solve_dual(win_rates, asked, tau=0.3, reference=mass, groups=ids)
    np.testing.assert_allclose(caught.value.attainable, alone, atol=1e-6)
    assert (caught.value.relaxed <= asked + 1e-9).all()
    assert linear_optimum(win_rates, caught.value.relaxed - 1e-6, mass, ids) is not None


def test_pooling_changes_the_weights_and_never_what_is_learned() -> None:
    win_rates, mass, ids = instance(6)
    found = [
        solve_dual(win_rates, [0.3, 0.3], tau=0.2, reference=mass, groups=ids, pooling=p)
        for p in (1.0, 10.0, 1e9, np.inf, None)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.multipliers, found[0].multipliers, atol=1e-9)
        np.testing.assert_allclose(other.values, found[0].values, atol=1e-9)
    np.testing.assert_allclose(found[2].ratio, found[3].ratio, rtol=1e-6)
    assert np.abs(found[0].ratio - found[3].ratio).max() > 0.1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"win_rates": [[0.5, 1.2]]}, "1.2"),
        ({"win_rates": [[0.5, float("nan")]]}, "nan"),
        ({"win_rates": [0.5, 0.5]}, "shape"),
        ({"thresholds": [0.5, 0.5]}, "threshold"),
        ({"tau": 0.0}, "tau"),
        ({"tau": -1.0}, "-1"),
        ({"reference": [-1.0]}, "reference"),
        ({"reference": [0.0]}, "reference"),
        ({"groups": [0, 1]}, "groups"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"pooling": -1.0}, "pooling"),
        ({"variant": "magic"}, "magic"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], expected: str) -> None:
    given_ = {"win_rates": [[0.5, 0.5]], "thresholds": [0.4], "tau": 0.1} | change
    with pytest.raises(InputError, match=expected):
        solve_dual(**given_)


def test_inputs_are_not_mutated() -> None:
    win_rates, mass, ids = instance(7)
    before = win_rates.copy(), mass.copy(), ids.copy()
    for array in (win_rates, mass, ids):
        array.setflags(write=False)
    solve_dual(win_rates, [0.4, 0.4], tau=0.1, reference=mass, groups=ids, epsilon=0.01)
    for now, then in zip((win_rates, mass, ids), before, strict=True):
        np.testing.assert_array_equal(now, then)
