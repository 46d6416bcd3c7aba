"""Annotators who differ in taste: labels of one of them depend on each other, and bounds know it."""

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.annotators import NOTHING, added_by_annotators
from mopo_pipeline.mopo.comparisons import Comparisons
from mopo_pipeline.mopo.estimator import Estimate, build_estimator
from mopo_pipeline.mopo.rows import Rows, build_rows

PROMPTS, ANSWERS, ANNOTATORS, PAIRS = 40, 4, 8, 4000
SLOPE, TASTE = 0.2, 0.3
"""How much quality counts to people at large, and at most how much more or less to one of them."""

DATA_SETS = 120


def everything() -> tuple[Rows, np.ndarray]:
    """Rows with win rates (N, 2) that a quality x in [0, 1] decides, by p = .5 + .2 (x - x')."""
    quality = np.tile(np.linspace(0.0, 1.0, ANSWERS), PROMPTS)
    rates = 0.5 + SLOPE * (quality - 0.5)
    table = np.column_stack([1.0 - rates, rates])
    return build_rows(table, groups=np.repeat(np.arange(PROMPTS), ANSWERS)), quality


def drawn(rng: np.random.Generator, quality: np.ndarray, told: bool) -> Comparisons:
    """Pairs, each labelled by one of few annotators, to whom quality counts more or less than to people at large."""
    prompt = rng.integers(PROMPTS, size=PAIRS) * ANSWERS
    first, second = (prompt + rng.integers(ANSWERS, size=PAIRS) for _ in range(2))
    who = rng.integers(ANNOTATORS, size=PAIRS)
    taste = rng.uniform(-TASTE, TASTE, ANNOTATORS)
    gap = quality[first] - quality[second]
    win = (rng.random(PAIRS) < 0.5 + (SLOPE + taste[who]) * gap).astype(float)
    return Comparisons(
        first=first,
        second=second,
        labels=np.column_stack([1.0 - win, win]),
        predicted=np.column_stack([0.5 - SLOPE * gap, 0.5 + SLOPE * gap]),
        annotators=who if told else None,
    )


def estimate(rows: Rows, compared: Comparisons, sampled: bool = False) -> Estimate:
    found = build_estimator(rows, 0.1, sampled, comparisons=compared, confidence=0.95)
    return found.at(np.array([0.0, 1.0]))


@pytest.mark.slow
def test_a_bound_that_knows_annotators_misses_as_rarely_as_it_says() -> None:
    rows, quality = everything()
    rng = np.random.default_rng(5)
    truth = float(build_estimator(rows, 0.1, False).at(np.array([0.0, 1.0])).values[1])
    missed = {True: 0, False: 0}
    for _ in range(DATA_SETS):
        state = rng.bit_generator.state
        for told in missed:
            rng.bit_generator.state = state
            missed[told] += int(estimate(rows, drawn(rng, quality, told)).levels[0] > truth)
    assert missed[False] / DATA_SETS > 0.15
    assert missed[True] / DATA_SETS < 0.09


def test_annotators_lower_the_number_that_counts_and_only_where_they_differ() -> None:
    rows, quality = everything()
    found = estimate(rows, drawn(np.random.default_rng(0), quality, told=True))
    assert found.effective[0] < 0.5 * found.effective_if_alike[0]
    blind = estimate(rows, drawn(np.random.default_rng(0), quality, told=False))
    assert blind.effective[0] == blind.effective_if_alike[0] == found.effective_if_alike[0]
    assert found.levels[0] < blind.levels[0]


def test_a_single_annotator_and_those_nobody_knows_change_nothing() -> None:
    rng = np.random.default_rng(1)
    moved, mass = rng.normal(size=40), np.full(40, 1 / 40)
    prompts = np.arange(40) // 2
    for who in (np.zeros(40, dtype=np.int64), np.full(40, -1)):
        assert added_by_annotators(moved, mass, prompts, who) == NOTHING
    apart = added_by_annotators(moved, mass, None, np.arange(40))
    assert apart == NOTHING


def test_what_annotators_add_is_the_square_of_sums_beyond_that_of_its_parts() -> None:
    """Two annotators of two prompts each: (1 + 1)² twice, less four times 1², with factors 2 and 4/3."""
    moved, prompts = np.array([1.0, 1.0, -1.0, -1.0]), np.arange(4)
    found = added_by_annotators(moved, np.full(4, 0.25), prompts, np.array([0, 0, 1, 1]))
    assert found.variance == pytest.approx(2 * 8 - 4 / 3 * 4)
    assert found.freedom == pytest.approx(1.0)


def test_annotators_of_the_wrong_kind_are_refused() -> None:
    rows, quality = everything()
    compared = drawn(np.random.default_rng(0), quality, told=True)
    wrong = Comparisons(**vars(compared) | {"annotators": np.zeros(3)})
    with pytest.raises(InputError, match=r"comparisons\.annotators must be 4000 integers"):
        estimate(rows, wrong)
