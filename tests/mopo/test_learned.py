"""Values of the policy that cloning learns: the jackknife against its definition and against the truth."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopo_pipeline.mopo import attainable_bounds, learned_values, solve_dual
from mopo_pipeline.mopo.learned import SECOND_ORDER, SECOND_SHARE, jackknifed_shares
from mopo_pipeline.mopo.pooling import pooled_ratio
from mopo_pipeline.mopo.rows import build_rows


def by_definition(exponent: np.ndarray, scores: np.ndarray) -> float:
    """The estimate of one prompt from means over all subsets of its responses."""

    def ratio(size: int) -> float:
        found = []
        for chosen in combinations(range(n), size):
            rows = list(chosen)
            part = np.exp(exponent[rows] - exponent[rows].max())
            found.append(part @ scores[rows] / part.sum())
        return float(np.mean(found))

    n = len(scores)
    if n == 1:
        return float(scores[0])
    first = n * ratio(n) - (n - 1) * ratio(n - 1)
    if n == 2:
        return first
    second = (n**2 * ratio(n) - 2 * (n - 1) ** 2 * ratio(n - 1) + (n - 2) ** 2 * ratio(n - 2)) / 2
    return first + SECOND_SHARE * (second - first)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.1, 3.0, 90.0, 5000.0]))
def test_shares_are_the_jackknife_over_responses(seed: int, n: int, spread: float) -> None:
    """Also where one response outweighs the rest by more orders of magnitude than a number has."""
    rng = np.random.default_rng(seed)
    scores, exponent = rng.random((3 * n, 1)), spread * rng.normal(size=3 * n)
    rows = build_rows(scores, None, np.repeat(np.arange(3), n))
    shares = jackknifed_shares(rows, exponent)
    for x in range(3):
        own = slice(x * n, (x + 1) * n)
        expected = by_definition(exponent[own], scores[own, 0])
        assert shares[own] @ scores[own, 0] == pytest.approx(expected, abs=1e-9)
        assert shares[own].sum() == pytest.approx(1.0)


def test_many_responses_leave_out_one_at_a_time() -> None:
    n = SECOND_ORDER + 1
    rng = np.random.default_rng(0)
    scores, exponent = rng.random(n), rng.normal(size=n)
    part = np.exp(exponent)
    whole = part @ scores / part.sum()
    rest = [(part @ scores - part[j] * scores[j]) / (part.sum() - part[j]) for j in range(n)]
    shares = jackknifed_shares(build_rows(scores[:, None]), exponent)
    assert shares @ scores == pytest.approx(n * whole - (n - 1) * np.mean(rest))


class World:
    """Prompts whose answers are all known; the two objectives conflict, prompts differ in spread."""

    def __init__(self, seed: int, prompts: int = 300, answers: int = 40) -> None:
        rng = np.random.default_rng(seed)
        scale = np.exp(0.5 * rng.normal(size=prompts))[:, None]
        first, other = rng.normal(size=(2, prompts, answers))
        utility = np.stack([scale * first, scale * (0.85 * other - 0.5 * first)], axis=-1)
        self.win_rates = (1 / (1 + np.exp(utility[:, None] - utility[:, :, None]))).mean(axis=2)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        prompts, answers, _ = self.win_rates.shape
        groups = np.repeat(np.arange(prompts), n)
        return self.win_rates[groups, rng.integers(answers, size=groups.size)], groups

    def values(self, multipliers: np.ndarray, tau: float) -> np.ndarray:
        exponent = self.win_rates @ np.append(1.0, multipliers) / tau
        policy = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        policy /= policy.sum(axis=1, keepdims=True)
        return (policy[..., None] * self.win_rates).sum(axis=1).mean(axis=0)


@pytest.mark.parametrize(("n", "above"), [(4, 0.03), (8, 0.015), (32, 0.015)])
def test_what_is_planned_is_what_the_policy_of_the_multipliers_holds(n: int, above: float) -> None:
    world, rng = World(0), np.random.default_rng(n)
    held = []
    for _ in range(12):
        win_rates, groups = world.draw(n, rng)
        found = solve_dual(win_rates, [0.57], tau=0.15, groups=groups, pooling=None)
        held.append(world.values(found.multipliers, 0.15)[1])
    assert 0.57 - 0.01 <= np.mean(held) <= 0.57 + above


def test_the_pool_s_mean_of_ratio_times_win_rate_is_not_that_value() -> None:
    """The negative control: thresholds solved for E[ratio s] over one pool are missed."""
    world, rng = World(0), np.random.default_rng(0)
    held = []
    for _ in range(12):
        win_rates, _ = world.draw(8, rng)
        found = solve_dual(win_rates, [0.57], tau=0.15)
        held.append(world.values(found.multipliers, 0.15)[1])
    assert np.mean(held) < 0.57 - 0.01


def test_planned_values_lie_within_what_is_attainable() -> None:
    """One objective and few responses: the planned value once lay .1 above the attainable one."""
    rng = np.random.default_rng(1)
    win_rates, groups = rng.random((60, 1)), np.repeat(np.arange(20), 3)
    found = solve_dual(win_rates, [], tau=0.05, groups=groups, pooling=None)
    low, high = attainable_bounds(win_rates, tau=0.05, groups=groups)[0]
    assert low < found.values[0] <= high + 1e-9
    assert high <= 1.0


def test_values_of_exponents_are_those_a_plan_with_these_multipliers_has() -> None:
    world = World(2)
    win_rates, groups = world.draw(16, np.random.default_rng(3))
    found = solve_dual(win_rates, [0.55], tau=0.15, groups=groups, pooling=np.inf)
    exponent = win_rates @ np.append(1.0, found.multipliers) / 0.15
    shifted = exponent + np.repeat(np.random.default_rng(0).normal(size=300), 16)
    for given_ in (exponent, shifted):
        values = learned_values(given_, win_rates, groups)
        np.testing.assert_allclose(values, found.values, atol=1e-9)


def test_weights_teach_the_policy_of_the_multipliers_whatever_normalises_them() -> None:
    """Per answer the mean weight over many draws is proportional to exp(u) within each prompt."""
    world = World(4, prompts=30, answers=6)
    multipliers, tau = np.array([0.5]), 0.3
    exact = np.exp(world.win_rates @ np.append(1.0, multipliers) / tau)
    for kappa in (1.0, 10.0, np.inf):
        rng, total, counts = np.random.default_rng(0), np.zeros((30, 6)), np.zeros((30, 6))
        for _ in range(600):
            answer = rng.integers(6, size=(30, 4)).ravel()
            groups = np.repeat(np.arange(30), 4)
            rows = build_rows(world.win_rates[groups, answer], None, groups)
            exponent = np.append(1.0, multipliers) @ rows.columns / tau
            np.add.at(total, (groups, answer), pooled_ratio(rows, exponent, kappa))
            np.add.at(counts, (groups, answer), 1.0)
        taught = total / counts
        taught /= taught.sum(axis=1, keepdims=True)
        target = exact / exact.sum(axis=1, keepdims=True)
        assert np.abs(taught - target).mean() < 0.01
