"""Bounds where labels went into the win rates: every fold's labels are held against a policy that never saw them."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import Comparisons, solve_dual
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.training.problem_files import problem_digest, read_problem, write_problem

TAU = 0.2


def one_prompt(rng: np.random.Generator) -> tuple[np.ndarray, Comparisons]:
    """Six answers, exact labels of all ordered pairs in both of two folds, win rates that err in each."""
    utility = rng.normal(size=(6, 2))
    first, second = (index.ravel() for index in np.indices((6, 6)))
    erring = utility + rng.normal(0, 0.8, (2, 6, 2))
    labels = np.tile(beats(utility)[first, second], (2, 1))
    predicted = np.concatenate([beats(own)[first, second] for own in erring])
    believed = np.stack([beats(own).mean(axis=1) for own in erring])
    twice = np.tile(first, 2), np.tile(second, 2)
    folds = np.repeat([0, 1], len(first))
    true = beats(utility).mean(axis=1)
    return true, Comparisons(*twice, labels, predicted, None, folds, believed)


def beats(utility: np.ndarray) -> np.ndarray:
    """(n, n, K) probability that a row beats a column."""
    return np.asarray(1 / (1 + np.exp(utility[None] - utility[:, None])))


@pytest.mark.parametrize("modelled", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_that_of_the_mixture_of_the_folds_policies(seed: int, modelled: bool) -> None:
    true, compared = one_prompt(np.random.default_rng(seed))
    believed = np.asarray(compared.fold_win_rates)
    given = compared if modelled else replace(compared, predicted=None)
    threshold = true[:, 1].mean() + 0.02
    found = solve_dual(believed.mean(axis=0), [threshold], tau=TAU, comparisons=given)
    policies = np.exp(believed @ np.append(1.0, found.multipliers) / TAU)
    mixture = (policies / policies.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(found.ratio, 6 * mixture)
    np.testing.assert_allclose(found.bounds, mixture @ true[:, 1], atol=1e-9)


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Thirty prompts of six answers, win rates, and labels of all pairs."""
    utility = rng.normal(size=(30, 6, 3))
    every = np.array(list(combinations(range(6), 2)))
    first, second = ((np.arange(30)[:, None] * 6 + every[:, s]).ravel() for s in (0, 1))
    flat = utility.reshape(-1, 3)
    chance = 1 / (1 + np.exp(flat[second] - flat[first]))
    win_rates = 1 / (1 + np.exp(utility[:, None] - utility[:, :, None]))
    labels = (rng.random(chance.shape) < chance).astype(float)
    given = {"first": first, "second": second, "labels": labels, "predicted": chance}
    return win_rates.mean(axis=2).reshape(-1, 3), np.repeat(np.arange(30), 6), given


def solved(win_rates: np.ndarray, groups: np.ndarray, compared: Comparisons) -> Any:
    return solve_dual(
        win_rates,
        [0.5, 0.48],
        tau=TAU,
        groups=groups,
        comparisons=compared,
        confidence=0.9,
        pooling=None,
    )


def test_folds_that_all_believe_the_same_change_nothing() -> None:
    win_rates, groups, given = clustered(np.random.default_rng(0))
    folds = np.arange(450) % 3
    alone = solved(win_rates, groups, Comparisons(**given))
    same = Comparisons(**given, folds=folds, fold_win_rates=np.stack([win_rates] * 3))
    together = solved(win_rates, groups, same)
    for name in ("multipliers", "ratio", "values", "row_values", "bounds"):
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=2e-3)
    np.testing.assert_allclose(
        together.effective_comparisons, alone.effective_comparisons, rtol=0.02
    )


def test_the_order_of_folds_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    win_rates, groups, given = clustered(rng)
    folds = np.arange(450) % 3
    tables = np.clip(win_rates + rng.normal(0, 0.05, (3, *win_rates.shape)), 0, 1)
    one = solved(win_rates, groups, Comparisons(**given, folds=folds, fold_win_rates=tables))
    turned = Comparisons(**given, folds=(folds + 1) % 3, fold_win_rates=np.roll(tables, 1, axis=0))
    other = solved(win_rates, groups, turned)
    np.testing.assert_allclose(other.multipliers, one.multipliers, rtol=1e-6)
    np.testing.assert_allclose(other.ratio, one.ratio, rtol=1e-6)


def test_a_fold_without_comparisons_weighs_nothing() -> None:
    rng = np.random.default_rng(2)
    win_rates, groups, given = clustered(rng)
    tables = np.clip(win_rates + rng.normal(0, 0.05, (3, *win_rates.shape)), 0, 1)
    found = solved(
        win_rates, groups, Comparisons(**given, folds=np.arange(450) % 2, fold_win_rates=tables)
    )
    assert (found.bounds >= np.array([0.5, 0.48]) - 1e-6).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fold_win_rates": None}, "given together"),
        ({"folds": None}, "given together"),
        ({"folds": np.full(72, 2)}, "must index the 2 folds, got 2 at 0"),
        ({"fold_win_rates": np.zeros((2, 5, 2))}, r"must have shape \('J', 6, 2\)"),
        ({"fold_win_rates": np.full((2, 6, 2), 1.5)}, "got 1.5"),
    ],
)
def test_folds_that_do_not_fit_are_refused(change: dict[str, Any], said: str) -> None:
    true, compared = one_prompt(np.random.default_rng(0))
    with pytest.raises(InputError, match=said):
        solve_dual(true, [0.5], tau=TAU, comparisons=replace(compared, **change))


def problem() -> DualProblem:
    rng = np.random.default_rng(3)
    win_rates, groups, given = clustered(rng)
    tables = np.clip(win_rates + rng.normal(0, 0.05, (3, *win_rates.shape)), 0, 1)
    compared = Comparisons(**given, folds=np.arange(450) % 3, fold_win_rates=tables)
    return DualProblem(
        ("a", "b", "c"),
        win_rates,
        groups,
        np.array([0.5, 0.48]),
        TAU,
        0.0,
        4.0,
        "lagrangian",
        compared,
        np.zeros(2),
        np.zeros(2),
        np.zeros(2),
        0.9,
    )


def test_part_of_the_problem_keeps_the_win_rates_of_its_own_rows() -> None:
    whole = problem()
    rows = whole.groups % 2 == 0
    part = whole.restricted(rows)
    assert part.comparisons is not None and whole.comparisons is not None
    np.testing.assert_array_equal(
        part.comparisons.fold_win_rates, np.asarray(whole.comparisons.fold_win_rates)[:, rows]
    )
    kept = rows[np.asarray(whole.comparisons.first)]
    np.testing.assert_array_equal(part.comparisons.folds, np.asarray(whole.comparisons.folds)[kept])


def test_a_problem_with_folds_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    whole = problem()
    write_problem(whole, tmp_path)
    again = read_problem(tmp_path)
    assert again is not None
    assert problem_digest(again) == problem_digest(whole)
    moved = replace(
        whole,
        comparisons=replace(whole.comparisons, folds=(np.arange(450) + 1) % 3),  # type: ignore[type-var]
    )
    assert problem_digest(moved) != problem_digest(whole)
