"""Comparisons are worked on block by block: the size of a block changes nothing, and little is held of each comparison."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mopo_pipeline.mopo import bound, rows, solve_dual, terms
from mopo_pipeline.mopo.bound import bound_mean
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.estimator import Estimate, build_estimator
from mopo_pipeline.mopo.rows import build_rows

PROMPTS, ANSWERS, PAIRS = 12, 5, 300
DIRECTION = np.array([1.0, 0.7, 0.3])


def world(rng: np.random.Generator, kind: str, prompts: int = PROMPTS, pairs: int = PAIRS) -> Any:
    """Win rates, what ``build_rows`` takes beside them, and comparisons of one kind."""
    count = prompts * ANSWERS
    rates = rng.random((count, 3))
    prompt = rng.integers(prompts, size=pairs) * ANSWERS
    one, other = rng.integers(ANSWERS, size=pairs), rng.integers(1, ANSWERS, size=pairs)
    first, second = prompt + one, prompt + (one + other) % ANSWERS
    chance = rng.random((pairs, 3))
    given: dict[str, Any] = {
        "first": first,
        "second": second,
        "labels": np.where(rng.random((pairs, 3)) < 0.2, np.nan, rng.random((pairs, 3)) < chance),
        "predicted": np.where(rng.random((pairs, 3)) < 0.3, np.nan, chance),
    }
    groups, reference = np.arange(count) // ANSWERS, None
    if kind == "weights and annotators":
        given["weights"] = rng.random((pairs, 3))
        given["annotators"] = rng.integers(-1, 4, size=pairs)
    if kind == "folds and clusters":
        given["folds"] = rng.integers(2, size=pairs)
        given["fold_win_rates"] = rng.random((2, count, 3))
        given["clusters"] = groups // 3
    if kind == "rows out of reach, in no order":
        groups = rng.permutation(groups)
        reference = (rng.random(count) < 0.8) + 0.0
    return rates, reference, groups, given


def estimated(setting: Any, sampled: bool) -> Estimate:
    rates, reference, groups, given = setting
    built = build_rows(rates, reference, groups)
    compared = Comparisons(**given)
    found = build_estimator(built, 0.3, sampled, comparisons=compared, confidence=0.9)
    return found.at(DIRECTION)


def numbers(found: Estimate) -> np.ndarray:
    chi = [bound.chi for bound in found.bounds]
    parts = found.values, found.levels, chi, found.epsilon, found.effective
    return np.concatenate([*parts, found.effective_if_alike])


KINDS = ("plain", "weights and annotators", "folds and clusters", "rows out of reach, in no order")


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_a_few_comparisons_give_what_one_block_gives(kind: str, sampled: bool) -> None:
    for seed in range(5):
        setting = world(np.random.default_rng(seed), kind)
        whole = numbers(estimated(setting, sampled))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(terms, "BLOCK", 7)
            patch.setattr(bound, "BLOCK", 11)
            patch.setattr(rows, "CHUNK", 10)
            parts = numbers(estimated(setting, sampled))
            setting[3]["labels"][-1] = 1.0 - np.nan_to_num(setting[3]["labels"][-1])
            other = numbers(estimated(setting, sampled))
        np.testing.assert_allclose(parts, whole, rtol=1e-11, atol=1e-13)
        assert np.abs(other - parts).max() > 1e-6, "a comparison of the last block must count"


def test_a_bound_over_blocks_is_the_bound_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values, mass = rng.normal(size=200), rng.random(200) * (rng.random(200) < 0.7)
    for epsilon in (0.0, 1e-9, 1e-4, 0.1, 3.0, 50.0):
        monkeypatch.setattr(bound, "BLOCK", 1000)
        whole = bound_mean(values, mass / mass.sum(), epsilon)
        monkeypatch.setattr(bound, "BLOCK", 9)
        parts = bound_mean(values, mass / mass.sum(), epsilon)
        assert parts.value == pytest.approx(whole.value, abs=1e-13)
        assert parts.chi == pytest.approx(whole.chi, rel=1e-11)
        assert float(parts.weights @ values) == pytest.approx(whole.value, abs=1e-11)


def test_arrays_in_files_are_solved_as_those_in_memory_and_left_as_they_are(
    tmp_path: Path,
) -> None:
    rates, _, groups, given = world(np.random.default_rng(1), "weights and annotators")
    arrays = given | {"rates": rates, "groups": groups}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    filed = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in arrays}
    found = [
        solve_dual(
            kept.pop("rates"),
            [0.44, 0.52],
            tau=0.3,
            groups=kept.pop("groups"),
            pooling=None,
            comparisons=Comparisons(**kept),
            confidence=0.9,
        )
        for kept in (dict(arrays), dict(filed))
    ]
    np.testing.assert_array_equal(found[1].ratio, found[0].ratio)
    np.testing.assert_array_equal(found[1].multipliers, found[0].multipliers)
    assert found[0].multipliers.any()


def held(pairs: int) -> int:
    """Bytes at the peak of a solution, beside what is given."""
    rates, _, groups, given = world(np.random.default_rng(0), "plain", pairs // ANSWERS, pairs)
    sure: dict[str, Any] = {"comparisons": Comparisons(**given), "confidence": 0.9}
    tracemalloc.start()
    try:
        solve_dual(rates, [0.0, 0.0], tau=0.3, groups=groups, pooling=None, **sure)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_comparison_and_a_row_more_take_eighty_bytes_beside_themselves() -> None:
    assert (held(120_000) - held(40_000)) / 80_000 < 80
