"""Cells are read as they are written, and what cannot be read is named by file, line and column."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_helpers import by_id, load, pairs, rated, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.sources import reading
from mopo_pipeline.sources.reading import read_table

DIGITS = ("007", "1e3", "1.50", "0042", "nan", "True", "NULL", "-0", "3.0")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_digits_in_a_text_column_stay_the_text_that_was_written(
    tmp_path: Path, suffix: str
) -> None:
    rows = [
        {"prompt": f"item {i}", "response_a": text, "response_b": f"{text}0", "good": 1}
        for i, text in enumerate(DIGITS)
    ]
    data = load(write(tmp_path / f"d{suffix}", rows))
    texts = by_id(data)
    assert texts[data.judgements["response_a"]].tolist() == list(DIGITS)
    assert texts[data.judgements["response_b"]].tolist() == [f"{text}0" for text in DIGITS]


def test_whole_numbers_of_json_become_their_digits_beside_a_missing_one(tmp_path: Path) -> None:
    rows = [{"prompt": i // 2, "response": i, "good": i} for i in range(12)]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["response"].tolist() == [str(i) for i in range(12)]
    rows[5]["response"] = None
    with pytest.raises(InputError, match="line 6, column response: missing value"):
        load(write(tmp_path / "d.jsonl", rows))


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}])
def test_what_is_neither_text_nor_a_whole_number_is_refused_by_its_line(
    tmp_path: Path, value: Any
) -> None:
    rows = rated()
    rows[3]["response_id"] = value
    with pytest.raises(InputError, match=r"d.jsonl: line 1, column response_id: missing value"):
        load(write(tmp_path / "d.jsonl", rows))
    for i, row in enumerate(rows):
        row["response_id"] = value if i == 3 else f"r{i}"
    with pytest.raises(InputError, match=r"d.jsonl: line 4, column response_id: .* not text"):
        load(write(tmp_path / "d.jsonl", rows))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_ids_with_leading_zeros_match_across_two_files_of_any_kind(
    tmp_path: Path, suffix: str
) -> None:
    rows = [
        row | {"prompt_id": f"{i // 3:03d}", "response_id": f"{i:04d}"}
        for i, row in enumerate(rated())
    ]
    labels = [
        {
            "prompt_id": f"{i:03d}",
            "response_a": f"{3 * i:04d}",
            "response_b": f"{3 * i + 1:04d}",
            "good": 1,
        }
        for i in range(9)
    ]
    judged = write(tmp_path / f"l{suffix}", labels)
    data = load(write(tmp_path / "r.jsonl", rows), judgements_path=judged)
    assert data.judgements["response_b"].tolist() == [f"{3 * i + 1:04d}" for i in range(9)]


def test_an_empty_id_is_named_in_the_file_of_labels_that_lacks_it(tmp_path: Path) -> None:
    rows = [row | {"prompt_id": i // 3, "response_id": i} for i, row in enumerate(rated())]
    (tmp_path / "labels.csv").write_text(
        "prompt_id,response_a,response_b,good\n0,0,1,1\n\n1,3,,1\n"
    )
    with pytest.raises(InputError, match=r"labels.csv: line 4, column response_b: missing value"):
        load(write(tmp_path / "r.jsonl", rows), judgements_path=tmp_path / "labels.csv")


def test_labels_that_refer_to_made_up_ids_are_refused(tmp_path: Path) -> None:
    labels = [{"prompt_id": "p0", "response_a": "r0", "response_b": "r1", "good": 1}]
    with pytest.raises(InputError, match=r"missing column 'prompt_id', which .*l.jsonl refers to"):
        load(
            write(tmp_path / "r.jsonl", rated()),
            judgements_path=write(tmp_path / "l.jsonl", labels),
        )


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text('prompt,response_a,response_b,good\n"two\nlines","a\n\nb",c,1\n\nq,d,e,high\n')
    with pytest.raises(InputError, match="line 7, column good: 'high' is not a number"):
        load(path)


@pytest.mark.parametrize("encode", [lambda b: b, lambda b: b"\xef\xbb\xbf" + b])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
@pytest.mark.parametrize("zipped", [False, True])
def test_byte_order_marks_and_compression_change_nothing(
    tmp_path: Path, encode: Any, suffix: str, zipped: bool
) -> None:
    plain = write(tmp_path / f"d{suffix}", pairs())
    content = encode(plain.read_bytes())
    if zipped:
        path = tmp_path / f"z{suffix}.gz"
        path.write_bytes(gzip.compress(content))
    else:
        path = plain
        path.write_bytes(content)
    assert load(path).responses["response"].tolist() == [
        text for i in range(12) for text in (f"a{i}", f"b{i}")
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.csv", b"prompt;response;good\n", "line 1: the columns are separated by ';'"),
        ("d.csv", b"prompt,good,good\n", "line 1: 'good' appears twice"),
        ("d.csv", b"prompt,response\na,b\nc,d,e\n", "line 3: 3 cells, but the header has 2"),
        ("d.csv", b'prompt,response\na,"b\n', "line 2: not valid CSV"),
        (
            "d.csv",
            "prompt,response\na,caf\xe9\n".encode("latin1"),
            "line 2: byte 0xe9 is not UTF-8",
        ),
        ("d.jsonl", b'{"good": 1, "good": 0}', "line 1: .*'good' appears twice"),
        ("d.jsonl.gz", b"no gzip", "cannot be read"),
        ("d.parquet", b"no parquet", "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_gets_one_line(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_categories_nullable_columns_and_truth_values_of_parquet_are_read(tmp_path: Path) -> None:
    table = pd.DataFrame(pairs())
    for column in ("prompt", "response_a", "response_b"):
        table[column] = table[column].astype("category")
    table["good"] = pd.array([None, *table["good"][1:]], dtype="Int64")
    table["safe"] = pd.array([True, None] * 6, dtype="boolean")
    table.to_parquet(tmp_path / "d.parquet")
    judgements = load(tmp_path / "d.parquet", "good", "safe").judgements
    assert judgements["good"].isna().tolist() == [True] + [False] * 11
    assert judgements["safe"].fillna(-1).tolist() == [1.0, -1.0] * 6


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table(
        [["q"], ["a"], ["b"], [1], [0]],
        names=["prompt", "response_a", "response_b", "good", "good"],
    )
    pq.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(InputError, match="'good' appears twice"):
        read_table(tmp_path / "d.parquet")


def test_objects_line_by_line_in_a_json_file_are_read_as_a_list_is(tmp_path: Path) -> None:
    lines = write(tmp_path / "lines.json", pairs())
    whole = tmp_path / "list.json"
    whole.write_text(json.dumps(pairs()))
    pd.testing.assert_frame_equal(load(lines).responses, load(whole).responses)


def test_other_columns_of_a_file_never_reach_the_tables(tmp_path: Path) -> None:
    rows = [row | {"fold": 1, "weight": "x", "source": [i]} for i, row in enumerate(rated())]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert list(data.responses.columns) == [
        "prompt_id",
        "response_id",
        "prompt",
        "response",
        "split",
        "source",
        "score_good",
    ]
    assert set(data.responses["source"]) == {"files"}


def test_two_columns_that_rate_one_objective_are_refused(tmp_path: Path) -> None:
    rows = [row | {"score_good": 1} for row in rated()]
    with pytest.raises(InputError, match=r"\['good', 'score_good'\] both rate 'good'"):
        load(write(tmp_path / "d.jsonl", rows))


def test_a_rating_may_be_missing_and_an_unrated_objective_is_named(tmp_path: Path) -> None:
    rows = rated()
    rows[4]["good"] = None
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["score_good"].isna().sum() == 1
    with pytest.raises(InputError, match="no column for objective 'safe'"):
        load(write(tmp_path / "d.jsonl", rows), "good", "safe")


def test_equal_answers_of_a_pair_are_dropped_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs()
    rows[0]["response_b"] = rows[0]["response_a"]
    rows[7]["response_b"] = rows[7]["response_a"]
    rows[9]["good"] = None
    data = load(write(tmp_path / "d.jsonl", rows), limit=9)
    assert data.report["dropped"] == {
        "pairs of equal responses": 2,
        "pairs without a label": 1,
        "pairs beyond ingest.limit": 1,
        "responses beyond ingest.limit": 2,
    }
    assert data.report["rows"] == {"pairs": {"read": 12, "kept": 8, "dropped": 4}}
    told = [record.getMessage() for record in caplog.records]
    assert f"{tmp_path / 'd.jsonl'}: dropped 2: pairs of equal responses" in told


def test_a_missing_weight_is_one(tmp_path: Path) -> None:
    rows = [row | {"weight": "" if i < 4 else 0.5 * i} for i, row in enumerate(pairs())]
    weights = load(write(tmp_path / "d.csv", rows)).judgements["weight"]
    assert weights.tolist() == [1.0] * 4 + [0.5 * i for i in range(4, 12)]


def test_an_error_without_a_text_is_named_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: Path) -> None:
        raise EOFError

    monkeypatch.setattr(reading, "_csv", silent)
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.csv: cannot be read: EOFError$"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_read_a_part_at_a_time_are_the_rows_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    rows = pairs()
    rows[7] |= {"response_a": 7, "annotator": "ann", "good": ""}
    rows[9] |= {"response_b": "", "note": ["x"]} if suffix == ".jsonl" else {"note": "x"}
    path = write(tmp_path / f"d{suffix}", rows)
    whole = load(path)
    monkeypatch.setattr(reading, "CHUNK", 5)
    parts = load(path)
    for table in ("responses", "judgements"):
        pd.testing.assert_frame_equal(getattr(parts, table), getattr(whole, table))
    rows[8]["response_a"] = ""
    cells = [json.dumps(row).replace('"a11"', '"\\ud800"') for row in rows]
    (tmp_path / "e.jsonl").write_text("\n".join(cells))
    with pytest.raises(InputError, match=r"line 12, column response_a: .* half a surrogate"):
        load(tmp_path / "e.jsonl")


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_texts_of_a_file_are_held_as_arrow_holds_them(tmp_path: Path, suffix: str) -> None:
    table = read_table(write(tmp_path / f"d{suffix}", pairs()))
    assert {str(table[c].dtype) for c in ("prompt", "response_a", "response_b")} == {"str"}


@pytest.mark.parametrize("name", ["D.CSV", "d.Jsonl.GZ"])
def test_the_case_of_a_suffix_says_nothing(tmp_path: Path, name: str) -> None:
    plain = write(tmp_path / f"plain{Path(name.lower().removesuffix('.gz')).suffix}", pairs())
    content = plain.read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    assert load(tmp_path / name).responses.equals(load(plain).responses)
