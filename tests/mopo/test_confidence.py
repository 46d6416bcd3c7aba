"""The confidence of a plan: effective numbers, joint level, who drew the pairs, and solutions that are ones."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, t

from conftest import without_nearest
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    InfeasibleThresholdsError,
    NotConvergedError,
    each_level,
    lower_bound,
    run_tabular,
    solve_dual,
)
from mopo_pipeline.mopo.solvers.complementarity import Bounds, solve
from mopo_pipeline.mopo.solvers.over_comparisons import _unsolved


def clustered(
    seed: int = 0, prompts: int = 40, n: int = 8, k: int = 3
) -> tuple[np.ndarray, np.ndarray, Comparisons]:
    """All pairs of every prompt's responses, labelled; predictions are right on average."""
    rng = np.random.default_rng(seed)
    utility = rng.normal(size=(prompts, n, k))
    utility[..., 1:] -= 0.5 * utility[..., :1]
    groups = np.repeat(np.arange(prompts), n)
    chance = 1 / (1 + np.exp(utility[:, None] - utility[:, :, None]))
    win_rates = ((chance.sum(axis=2) - 0.5) / (n - 1)).reshape(-1, k)
    pairs = np.array(list(combinations(range(n), 2)))
    first, second = (pairs[None] + n * np.arange(prompts)[:, None, None]).reshape(-1, 2).T
    flat = utility.reshape(-1, k)
    probability = 1 / (1 + np.exp(flat[second] - flat[first]))
    labels = (rng.random(probability.shape) < probability).astype(float)
    return win_rates, groups, Comparisons(first, second, labels, probability)


def plan(threshold: float | list[float], data=None, **given):  # type: ignore[no-untyped-def]
    win_rates, groups, compared = data or clustered()
    asked = np.broadcast_to(threshold, win_rates.shape[1] - 1)
    given = {"tau": 0.3, "groups": groups, "comparisons": compared, "pooling": None} | given
    return solve_dual(win_rates, asked, **given)


def test_the_level_is_joint_and_the_radius_is_that_of_the_effective_number() -> None:
    found = plan(0.52, confidence=0.95)
    level = each_level(0.95, 2)
    assert level == pytest.approx(0.975)
    expected = t.ppf(level, 39) ** 2 / (2 * found.effective_comparisons)
    np.testing.assert_allclose(found.epsilon, expected)
    assert (found.effective_comparisons < 40 * 28).all()
    assert (found.bounds >= 0.52 - 1e-8).all()


def test_pairs_of_few_prompts_count_for_less_than_pairs_of_many() -> None:
    """The same number of pairs: one per prompt, or all pairs of few prompts."""
    many = clustered(prompts=560, n=2)
    few = clustered(prompts=20, n=8)
    counts = [plan(0.4, data, confidence=0.9).effective_comparisons.min() for data in (many, few)]
    assert counts[0] > 500 > 2 * counts[1]


def test_an_objective_with_fewer_labels_has_the_wider_bound() -> None:
    win_rates, groups, compared = clustered(prompts=200)
    labels = np.array(compared.labels)
    labels[np.arange(len(labels)) % 20 > 0, 2] = np.nan
    scarce = Comparisons(compared.first, compared.second, labels, compared.predicted)
    found = plan(0.45, (win_rates, groups, scarce), confidence=0.95)
    assert found.epsilon[1] > 5 * found.epsilon[0]


def test_weights_count_once_however_they_are_scaled_and_uneven_ones_count_for_less() -> None:
    win_rates, groups, compared = clustered(prompts=200)
    count = len(np.asarray(compared.first))

    def weighted(weights: np.ndarray) -> np.ndarray:
        given_ = Comparisons(
            compared.first, compared.second, compared.labels, compared.predicted, weights
        )
        return plan(0.45, (win_rates, groups, given_), confidence=0.95).effective_comparisons

    even = weighted(np.ones(count))
    np.testing.assert_allclose(weighted(np.full(count, 7.0)), even)
    heavy = np.where(np.random.default_rng(0).random(count) < 0.05, 20.0, 1.0)
    kish = heavy.sum() ** 2 / (heavy @ heavy)
    assert (weighted(heavy) <= kish + 1e-9).all()
    half = (np.arange(count) % 2).astype(float)
    assert (weighted(half) <= count / 2 + 1e-9).all()
    per_objective = np.column_stack([np.ones(count), np.ones(count), half])
    found = weighted(per_objective)
    assert found[0] == pytest.approx(even[0], rel=0.1)
    assert found[1] < 0.8 * even[1]


def test_one_prompt_counts_its_independent_comparisons() -> None:
    rng = np.random.default_rng(0)
    win_rates = rng.random((6, 2))
    first, second = rng.integers(6, size=(2, 500))
    labels = rng.integers(2, size=(500, 2)).astype(float)
    found = solve_dual(
        win_rates, [0.2], tau=0.5, comparisons=Comparisons(first, second, labels), confidence=0.9
    )
    assert found.effective_comparisons[0] == pytest.approx(500)
    assert found.epsilon[0] == pytest.approx(norm.ppf(0.9) ** 2 / 1000)


def test_confidence_excludes_epsilon_and_needs_comparisons() -> None:
    with pytest.raises(InputError, match="not both"):
        plan(0.5, epsilon=0.1, confidence=0.9)
    with pytest.raises(InputError, match="needs comparisons"):
        plan(0.5, comparisons=None, confidence=0.9)
    with pytest.raises(InputError, match="weights"):
        win_rates, groups, compared = clustered()
        negative = Comparisons(
            compared.first, compared.second, compared.labels, None, -np.ones(1120)
        )
        plan(0.5, (win_rates, groups, negative))


def exact_pairs(win_rates: np.ndarray, mass: np.ndarray, chance: np.ndarray) -> Comparisons:
    """Every pair of one prompt's alternatives with its exact probability as label."""
    n = len(mass)
    first, second = (axis.ravel() for axis in np.indices((n, n)))
    return Comparisons(first, second, chance[:, first, second].T, None, mass[first] * mass[second])


@pytest.mark.parametrize("sharpness", [0.0, 3.0, 10.0])
def test_bounds_equal_values_under_any_reference_where_labels_are_exact(sharpness: float) -> None:
    rng = np.random.default_rng(4)
    utility = rng.normal(size=(2, 5))
    chance = 1 / (1 + np.exp(utility[:, None, :] - utility[:, :, None]))
    behaviour = rng.dirichlet(np.ones(5) * 3)
    win_rates = (chance @ behaviour).T
    moved = behaviour * np.exp(sharpness * win_rates[:, 0])
    given_ = {
        "tau": 0.08,
        "reference": moved,
        "comparisons": exact_pairs(win_rates, behaviour, chance),
    }
    found = solve_dual(win_rates, [0.45], behaviour=behaviour, **given_)
    np.testing.assert_allclose(found.bounds, found.values[1:], atol=1e-9)
    if sharpness:
        unaware = solve_dual(win_rates, [0.45], **given_)
        assert abs(unaware.bounds[0] - unaware.values[1]) > 0.01


def test_a_lagged_reference_with_comparisons_reaches_the_linear_programme() -> None:
    """Refresh after refresh the constraint believed held is the one held, and the primary its best."""
    preferences = np.array(
        [
            [
                [0.5, 0.7, 0.8, 0.9],
                [0.3, 0.5, 0.7, 0.8],
                [0.2, 0.3, 0.5, 0.7],
                [0.1, 0.2, 0.3, 0.5],
            ],
            [
                [0.5, 0.25, 0.15, 0.1],
                [0.75, 0.5, 0.4, 0.35],
                [0.85, 0.6, 0.5, 0.45],
                [0.9, 0.65, 0.55, 0.5],
            ],
        ]
    )
    behaviour = np.full(4, 0.25)
    win_rates = (preferences @ behaviour).T
    reference = behaviour
    for _ in range(40):
        found = solve_dual(
            win_rates,
            [0.45],
            tau=0.3,
            reference=reference,
            behaviour=behaviour,
            comparisons=exact_pairs(win_rates, behaviour, preferences),
        )
        assert found.bounds[0] == pytest.approx(found.values[1], abs=1e-8)
        reference = reference * found.ratio
    best = run_tabular(preferences, behaviour, [0.45], tau=0.3, lag=1)
    np.testing.assert_allclose(found.values, best.values, atol=2e-3)


def test_a_behaviour_without_mass_where_the_reference_has_some_is_refused() -> None:
    with pytest.raises(InputError, match="behaviour must have mass"):
        plan(0.5, behaviour=np.r_[0.0, np.ones(319)])


@pytest.mark.parametrize("prompts", [pytest.param(12, marks=pytest.mark.slow), 40])
@pytest.mark.slow
def test_raising_a_threshold_never_raises_the_primary_and_every_solution_is_one(
    prompts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nearest(monkeypatch)
    data = clustered(3, prompts=prompts, n=6)
    primaries = []
    for asked in np.arange(0.30, 0.75, 0.02):
        try:
            found = plan([asked, 0.42], data, confidence=0.9)
        except (InfeasibleThresholdsError, NotConvergedError):
            break
        assert abs(found.duality_gap) < 1e-6
        assert (found.bounds >= np.array([asked, 0.42]) - 1e-6).all()
        primaries.append(found.values[0])
    assert len(primaries) > 4
    assert (np.diff(primaries) <= 1e-6).all()


@pytest.mark.slow
def test_what_is_named_as_nearest_can_be_held() -> None:
    data = clustered(5, prompts=30, n=5)
    with pytest.raises(InfeasibleThresholdsError) as caught:
        plan([0.9, 0.9], data, confidence=0.95)
    relaxed = caught.value.relaxed
    assert (relaxed <= 0.9).all()
    found = plan(relaxed, data, confidence=0.95)
    assert (found.bounds >= relaxed - 1e-6).all()


def test_what_is_nearest_keeps_the_thresholds_that_can_be_met_and_goes_as_far_as_the_solver() -> (
    None
):
    """The first bound is best where the second has a multiplier, which its threshold, met by far, does not allow: .65 is most."""

    def levels(point: np.ndarray) -> np.ndarray:
        first = 0.7 - ((point[0] - 2.0) ** 2 + (point[1] - 1.0) ** 2) / 20
        return np.array([first, 0.4 + point[1] / 10])

    error = _unsolved(Bounds(levels, 2), np.array([0.9, 0.3]))
    assert isinstance(error, InfeasibleThresholdsError)
    np.testing.assert_allclose(error.relaxed, [0.65, 0.3], atol=2e-3)
    assert error.relaxed[0] <= 0.65


def test_the_smallest_crossing_is_taken_where_a_bound_rises_and_falls() -> None:
    def hump(point: np.ndarray) -> np.ndarray:
        return np.array([0.6 - (point[0] - 2.0) ** 2 / 20])

    np.testing.assert_allclose(solve(Bounds(hump, 1), np.array([0.55])), [1.0], atol=1e-9)
    assert solve(Bounds(hump, 1), np.array([0.61])) is None


def test_bounds_are_those_of_the_doubly_robust_terms() -> None:
    """All rows in one prompt: f = (r_i s_i + r_j s_j)/2 + (r_i - r_j)(I - p)/2, bounded over pairs."""
    rng = np.random.default_rng(2)
    win_rates = rng.random((5, 2))
    first, second = rng.integers(5, size=(2, 60))
    labels, predicted = rng.random((60, 2)), rng.random((60, 2))
    weights = rng.random(60)
    found = solve_dual(
        win_rates,
        [0.2],
        tau=0.4,
        epsilon=0.02,
        comparisons=Comparisons(first, second, labels, predicted, weights),
    )
    left, right = found.ratio[first], found.ratio[second]
    terms = 0.5 * (
        left * win_rates[first, 1]
        + right * win_rates[second, 1]
        + (left - right) * (labels - predicted)[:, 1]
    )
    assert found.bounds[0] == pytest.approx(lower_bound(terms, weights, 0.02).value, abs=1e-9)
