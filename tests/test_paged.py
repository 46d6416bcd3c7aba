"""Texts that lie in a file instead of in memory."""

import gc
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mopo_pipeline import alike, paged
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.preferences import LabelParams
from mopo_pipeline.preferences.build import build_comparisons
from mopo_pipeline.sources.arrow import read_parquet
from mopo_pipeline.sources.load import SourceData, load_source
from mopo_pipeline.sources.marks import tell_marks
from mopo_pipeline.tables import chat_prompt

NAMES = ("helpful", "harmless")
TASK = TaskParams.model_validate(
    {"objectives": [{"name": NAMES[0]}, {"name": NAMES[1], "threshold": 0.5}]}
)


def write_pairs(path: Path, pairs: int, letters: int = 40) -> None:
    """Pairs with repeated prompts in several spellings, repeated and equal answers, gaps, JSON and annotators."""
    rng = np.random.default_rng(3)
    prompts = [f"Why {i} ?" if i % 7 else f"Why  {i} ? " for i in range(pairs // 5)]
    words = ["".join(row) for row in rng.choice(list("abcdefgh "), (pairs // 2, 40))]
    answers = [text * (letters // 40) for text in words]
    answers[::9] = ["[not a list " + text for text in answers[::9]]
    answers[4] = '{"role": "assistant", "content": "said in a message"}'
    pd.DataFrame(
        {
            "prompt": rng.choice(prompts, pairs),
            "response_a": rng.choice(answers, pairs),
            "response_b": rng.choice(answers, pairs),
            NAMES[0]: rng.choice([0.0, 0.5, 1.0], pairs),
            NAMES[1]: rng.choice([0.0, 1.0, np.nan], pairs),
            "annotator": rng.choice(["ann", "bob", ""], pairs),
        }
    ).to_parquet(path, row_group_size=pairs // 3)


def read(path: Path) -> tuple[SourceData, pd.DataFrame]:
    """What is ingested, and its comparisons."""
    params = IngestParams.model_validate({"source": "files", "path": path})
    data = load_source(params, TASK)
    rng = np.random.default_rng(0)
    return data, build_comparisons(data.responses, data.judgements, LabelParams(), NAMES, rng)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "json"])
def test_what_lies_in_a_file_is_read_as_what_stays_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"pairs.{kind}"
    write_pairs(tmp_path / "pairs.parquet", 2000)
    table = pd.read_parquet(tmp_path / "pairs.parquet")
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind != "parquet":
        table.to_json(path, orient="records", lines=kind == "jsonl")
    held, compared = read(path)
    monkeypatch.setattr(paged, "HELD", 0)
    for module in (
        "alike",
        "columns",
        "paged",
        "sources.pairs",
        "sources.reading",
    ):
        monkeypatch.setattr(f"mopo_pipeline.{module}.CHUNK", 100)
    monkeypatch.setattr(alike, "TOGETHER", 200)
    filed, also = read(path)
    pd.testing.assert_frame_equal(filed.responses, held.responses)
    pd.testing.assert_frame_equal(filed.judgements, held.judgements)
    pd.testing.assert_frame_equal(also, compared)
    assert filed.report == held.report
    assert "said in a message" in set(held.responses["response"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_texts_beyond_what_is_held_take_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"pairs.{kind}"
    write_pairs(tmp_path / "pairs.parquet", 500, letters=40_000)
    if kind == "jsonl":
        table = pd.read_parquet(tmp_path / "pairs.parquet")
        table.to_json(path, orient="records", lines=True)
    monkeypatch.setattr(paged, "HELD", 1 << 20)
    before = pa.total_allocated_bytes()
    data, _ = read(path)
    texts = int(data.responses["response"].str.len().sum())
    assert texts > 5e6
    assert pa.total_allocated_bytes() - before < texts / 4


def test_a_file_of_texts_ends_with_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "HELD", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    texts = paged.paged_texts(pd.Series([f"{i}"], dtype="str") for i in range(50))
    assert list(texts) == [str(i) for i in range(50)]
    assert not list(tmp_path.iterdir()), "a name is left behind"
    maps = Path(f"/proc/{os.getpid()}/maps")
    assert str(tmp_path) in maps.read_text(encoding="utf-8"), "the texts lie elsewhere"
    del texts
    gc.collect()
    assert str(tmp_path) not in maps.read_text(encoding="utf-8"), (
        "the disk's space is not given back"
    )


def test_a_part_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "HELD", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def parts() -> object:
        yield pd.Series(["one"], dtype="str")
        raise ValueError("the second")

    with pytest.raises(ValueError, match="the second"):
        paged.paged_texts(parts())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl"])
def test_a_full_temporary_folder_is_named_and_not_the_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_pairs(tmp_path / "pairs.parquet", 30)
    table = pd.read_parquet(tmp_path / "pairs.parquet")
    table.to_json(tmp_path / "pairs.jsonl", orient="records", lines=True)
    monkeypatch.setattr(paged, "HELD", 0)
    monkeypatch.setattr("pyarrow.ipc.new_file", full)
    monkeypatch.setattr("pyarrow.ipc.new_stream", full)
    with pytest.raises(InputError, match=r"no space left for texts, .* set TMPDIR") as caught:
        read(tmp_path / name)
    assert name not in str(caught.value)


def test_texts_are_taken_from_any_rows_and_missing_ones_stay_missing() -> None:
    texts = pd.Series(["a", None, "c", "d"], dtype="str")
    chosen = pd.Series(paged.taken(texts, np.array([3, 1, 1])))
    assert chosen.fillna("none").tolist() == ["d", "none", "none"]


def test_a_few_rows_from_all_over_a_column_are_taken_without_copying_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paged, "HELD", 1 << 16)
    monkeypatch.setattr(paged, "CHUNK", 64)
    monkeypatch.setattr(paged, "STRETCH", 256)
    names = [str(i) for i in range(4096)]
    prompts = [chat_prompt(f"{name} {'word ' * 200}") for name in names]
    parts = [pd.Series(prompts[i : i + 64], dtype="str") for i in range(0, 4096, 64)]
    column = pd.Series(paged.paged_texts(parts))
    table = pd.DataFrame({"prompt": column, "response": column, "prompt_id": names})
    rows = np.arange(0, 4096, 400)
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        found = [text for part in paged.parts_of_rows(column, rows) for text in part]
        tell_marks(table, "the file")
        most = pool.max_memory()
    finally:
        pa.set_memory_pool(before)
    assert found == [prompts[i] for i in rows]
    assert most < 4096 * 1000 / 4


def test_what_was_read_of_a_file_is_let_go_before_the_next_of_its_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "HELD", 1 << 16)
    rng = np.random.default_rng(0)
    texts = [rng.bytes(1000).hex() for _ in range(6000)]
    path = tmp_path / "texts.parquet"
    pd.DataFrame({"text": texts}).to_parquet(path, row_group_size=100)
    tracemalloc.start()
    try:
        found = read_parquet(str(path))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["text"].tolist() == texts
    assert most < path.stat().st_size / 4
