"""Cells that are the same: found in parts as at once, and with few bytes beside the column."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mopo_pipeline import alike, paged
from mopo_pipeline.alike import (
    codes_of,
    first_equal,
    first_of_each,
    positions,
    repeats,
    said_alike,
)
from mopo_pipeline.tables import chat_prompt, prompt_codes


@pytest.fixture(params=[3, 1 << 18], ids=["in parts", "at once"])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "TOGETHER", request.param)


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("spread", [1, 1 << 40])
def test_the_first_equal_code_is_found(spread: int) -> None:
    for seed in range(5):
        codes = np.random.default_rng(seed).integers(-40, 40, 300) * spread
        first = first_equal(codes)
        seen: dict[int, int] = {}
        assert first.tolist() == [seen.setdefault(c, i) for i, c in enumerate(codes.tolist())]
        np.testing.assert_array_equal(codes_of(first), pd.factorize(codes)[0])
        np.testing.assert_array_equal(first_of_each(codes), ~pd.Series(codes).duplicated())


@pytest.mark.usefixtures("together")
def test_texts_are_told_apart_as_pandas_does() -> None:
    rng = np.random.default_rng(0)
    known = pd.Series(rng.choice(["a", "bb", "", "ä", "a "], 50), dtype="str")
    values = pd.Series(rng.choice(["a", "ä", "c", " a"], 50), dtype="str")
    everything = known.tolist()
    assert positions(values, known).tolist() == [
        everything.index(v) if v in everything else -1 for v in values
    ]
    np.testing.assert_array_equal(positions(known, known), positions(known, known.copy()))
    np.testing.assert_array_equal(repeats(known), np.flatnonzero(known.duplicated()))
    gaps = known.where(known != "bb")
    for column in (known, gaps, known.astype(object)):
        expected = pd.factorize(column, use_na_sentinel=False)[0]
        np.testing.assert_array_equal(said_alike(column), expected)


@pytest.mark.slow
@pytest.mark.parametrize("found", [said_alike, repeats, prompt_codes])
def test_a_text_more_takes_a_few_numbers_and_no_text(found: Callable[[pd.Series], object]) -> None:
    def held(count: int) -> int:
        prompts = (
            chat_prompt(f"Why is it so that {i} stands here, and not its neighbour?")
            for i in range(count)
        )
        texts = pd.Series(list(prompts), dtype="str")
        tracemalloc.start()
        try:
            found(texts)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert (held(90_000) - held(40_000)) / 50_000 < 80


def test_prompts_that_lie_in_a_file_are_never_copied_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "HELD", 0)
    for module in (paged, alike):
        monkeypatch.setattr(module, "CHUNK", 100)
    stored = [chat_prompt(f"{i // 2} " * 200) for i in range(2000)]
    parts = (pd.Series(stored[i : i + 100], dtype="str") for i in range(0, len(stored), 100))
    prompts = pd.Series(paged.paged_texts(parts))
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        codes = prompt_codes(prompts)
    finally:
        pa.set_memory_pool(usual)
    assert codes.tolist() == [i // 2 for i in range(2000)]
    assert pool.max_memory() < sum(map(len, stored)) / 4
