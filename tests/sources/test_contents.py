"""Files that are not what their names say, and columns of two layouts at once."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from reading_helpers import load, pairs, write

from mopo_pipeline.errors import InputError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"


def packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes())


def as_parquet(path: Path) -> bytes:
    other = path.with_suffix(".parquet")
    pd.read_json(path, lines=True).to_parquet(other)
    return other.read_bytes()


def spreadsheet(path: Path) -> bytes:
    other = path.with_suffix(".zip")
    with zipfile.ZipFile(other, "w") as archive:
        archive.write(path)
    return other.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", packed, "compressed by gzip, .* let its name end in .gz"),
        ("a.csv", packed, "compressed by gzip, .* let its name end in .gz"),
        ("a.csv", as_parquet, "the file is parquet, .* let its name end in .parquet"),
        ("a.jsonl.gz", as_parquet, "the file is parquet, .* let its name end in .parquet"),
        ("a.csv", spreadsheet, "a zip archive, as spreadsheets are, .* save it as CSV"),
        ("a.parquet", spreadsheet, "a zip archive, as spreadsheets are, .* save it as CSV"),
        ("a.jsonl.gz", Path.read_bytes, "the content is not what .gz says"),
        ("a.jsonl.zst", Path.read_bytes, "the content is not what .zst says"),
        ("a.parquet", Path.read_bytes, "the content is not what .parquet says"),
    ],
)
def test_a_file_of_another_format_than_its_name_is_told_what_it_is(
    tmp_path: Path, name: str, content: Callable[[Path], bytes], expected: str
) -> None:
    made = content(write(tmp_path / "made.jsonl", pairs()))
    (tmp_path / name).write_bytes(made)
    with pytest.raises(InputError, match=expected) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "iconv" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.jsonl.gz"])
@pytest.mark.parametrize(
    ("content", "expected"), [(POINTER, "git lfs pull"), (PAGE, "a web page, not data")]
)
def test_what_a_download_left_in_place_of_the_data_is_named(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=expected):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "prompt,response_a\rq,a\r", "lines end in CR alone"),
        ("a.jsonl", json.dumps(pairs(), indent=1), "stands on one line"),
        ("a.jsonl", "\n".join(json.dumps(row, indent=1) for row in pairs()), "stands on one line"),
        ("a.jsonl", json.dumps(pairs()), "a list of objects is a file .json"),
        ("a.json", pd.DataFrame(pairs()).to_json(), "orient='records'"),
        ("a.json", json.dumps({"version": 1, "data": pairs()}), "the list under 'data' may be it"),
        ("a.json", json.dumps(pairs()[0]), r"of a single row too, in \[ \]"),
        ("a.tsv", "prompt\tgood\n", "by commas and name it .csv"),
        ("a.NDJSON.gz", "{}", "it is what .jsonl is: name it so"),
        ("a.jsonl.bz2", "{}", "unpack it"),
        ("a.tar.gz", "{}", "unpack it"),
        ("a.XLSX", "PK", "save its sheet as .csv"),
    ],
)
def test_an_arrangement_that_cannot_be_read_is_answered_with_one_that_can(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    with pytest.raises(InputError, match=expected):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("votse.jsonl", r"did you mean 'votes\.jsonl'"),
        ("*.jsonl", r"name several in ingest\.parts"),
        ("~/votes.jsonl", "~ is not replaced"),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_what_was_meant(
    tmp_path: Path, asked: str, expected: str
) -> None:
    write(tmp_path / "votes.jsonl", pairs())
    path = asked if asked.startswith("~") else str(tmp_path / asked)
    with pytest.raises(InputError, match=f"no such file; .*{expected}"):
        load(path)


@pytest.mark.parametrize(
    "more",
    [
        {"chosen": "x", "rejected": "y"},
        {"response": "x"},
        {"completions": [{"text": "x", "good": 1}, {"text": "y", "good": 0}]},
    ],
)
def test_two_layouts_in_one_file_are_refused_for_one_would_be_passed_over(
    tmp_path: Path, more: dict[str, object]
) -> None:
    path = write(tmp_path / "a.jsonl", pairs(12, **more))
    with pytest.raises(InputError, match="each say what the answers are; keep one") as caught:
        load(path)
    assert "response_a and response_b" in str(caught.value)


def test_a_word_for_a_label_and_bytes_for_a_text_are_answered_by_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", pairs(good="tie"))
    with pytest.raises(
        InputError, match=r"'tie' is not a number; write 1 where response_a wins, .* 0\.5 for a tie"
    ):
        load(path)
    path = write(tmp_path / "a.parquet", [row | {"response_a": b"yes"} for row in pairs()])
    with pytest.raises(InputError, match="is a bytes, not text; store the column as text"):
        load(path)


@pytest.mark.parametrize(("weight", "total"), [(0, "0"), (1e308, "inf")])
def test_weights_that_no_mean_can_be_taken_with_are_refused(
    tmp_path: Path, weight: float, total: str
) -> None:
    path = write(tmp_path / "a.jsonl", pairs(weight=weight))
    with pytest.raises(InputError, match=f"column weight: the weights sum to {total}, .*around 1"):
        load(path)
