"""What is attainable, alone and together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import instance, linear_optimum

from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    attainable_bounds,
    attainable_range,
    choose_pooling,
    solve_dual,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_range_is_the_best_and_worst_row_of_every_group(seed: int, k: int) -> None:
    win_rates, mass, ids = instance(seed, k)
    found = attainable_range(win_rates, tau=0.1, reference=mass, groups=ids)
    share = mass / mass.sum()
    for j in range(k):
        high = sum(share[ids == g].sum() * win_rates[ids == g, j].max() for g in np.unique(ids))
        low = sum(share[ids == g].sum() * win_rates[ids == g, j].min() for g in np.unique(ids))
        np.testing.assert_allclose(found[j], [low, high], atol=1e-9)


def test_a_radius_narrows_the_high_end() -> None:
    win_rates, mass, ids = instance(1)
    plain = attainable_range(win_rates, tau=0.1, reference=mass, groups=ids)
    robust = attainable_range(win_rates, tau=0.1, reference=mass, groups=ids, epsilon=0.02)
    assert (robust[1:, 1] < plain[1:, 1]).all()


def test_each_alone_but_not_together() -> None:
    """Two rows that trade one constraint for the other: b = (.8, .8) needs p >= .8 and p <= .2."""
    win_rates = np.array([[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]])
    with pytest.raises(InfeasibleThresholdsError) as caught:
        solve_dual(win_rates, [0.8, 0.8], tau=0.1)
    np.testing.assert_allclose(caught.value.attainable, [1.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(caught.value.relaxed, [0.5, 0.5], atol=1e-4)
    solve_dual(win_rates, caught.value.relaxed - 1e-6, tau=0.1)


@pytest.mark.slow
def test_million_rows_infeasible_together() -> None:
    rng = np.random.default_rng(0)
    n = 1_000_000
    base = rng.random(n)
    win_rates = np.column_stack([rng.random(n), base, 1 - base])
    groups = np.arange(n) // 4
    with pytest.raises(InfeasibleThresholdsError) as caught:
        solve_dual(win_rates, [0.7, 0.7], tau=0.1, groups=groups)
    relaxed = caught.value.relaxed
    assert relaxed.sum() == pytest.approx(1.0, abs=1e-3)
    assert (caught.value.attainable > 0.75).all()
    small = slice(0, 4000)
    assert (
        linear_optimum(win_rates[small], relaxed - 0.05, np.ones(4000), groups[small]) is not None
    )


def test_pooling_follows_the_spread_of_prompts() -> None:
    """Alike prompts pool more than prompts that differ in difficulty."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 4)
    alike = rng.random((160, 2))
    differing = np.clip(alike * 0.2 + np.repeat(rng.random(40), 4)[:, None] * 0.8, 0, 1)
    assert choose_pooling(alike, tau=0.3, groups=groups) > choose_pooling(
        differing, tau=0.3, groups=groups
    )
    assert choose_pooling(alike[:4], tau=0.3) == 0.0


@pytest.mark.parametrize("epsilon", [0.0, 0.01])
def test_the_range_of_all_policies_does_not_depend_on_the_temperature(epsilon: float) -> None:
    win_rates = np.random.default_rng(4).uniform(size=(12, 2))
    groups = np.repeat(np.arange(3), 4)
    cold, warm = (
        attainable_range(win_rates, tau=tau, groups=groups, epsilon=epsilon) for tau in (0.01, 10)
    )
    np.testing.assert_array_equal(cold, warm)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("position", [0.9, 0.99])
def test_few_labels_hold_whatever_lies_inside_the_range_they_leave(
    seed: int, position: float
) -> None:
    """A gentler policy, one that is not for the primary too, may have the greater bound, and no threshold leads to it."""
    rng = np.random.default_rng(seed)
    prompts, size = 12, 3
    merit = rng.normal(size=(prompts, size, 2))
    merit[..., 1] = 0.3 * merit[..., 1] - 0.9 * merit[..., 0]
    chance = 1 / (1 + np.exp(-1.5 * (merit[:, :, None] - merit[:, None, :])))
    g, a, b = np.nonzero(np.broadcast_to(np.tri(size, k=-1), (prompts, size, size)))
    predicted = chance[g, a, b]
    labels = (rng.random(predicted.shape) < predicted).astype(float)
    given = {
        "tau": 0.05,
        "groups": np.repeat(np.arange(prompts), size),
        "comparisons": Comparisons(g * size + a, g * size + b, labels, predicted),
        "confidence": 0.95,
        "pooling": None,
    }
    win_rates = chance.mean(axis=2).reshape(-1, 2)
    low, high = attainable_bounds(win_rates, **given)[1]
    asked = low + position * (high - low)
    assert low < high
    assert solve_dual(win_rates, [asked], **given).bounds[0] == pytest.approx(asked, abs=1e-6)
