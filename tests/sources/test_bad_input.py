"""What people bring by mistake gets one line that says where and what to do; what may surprise is told."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pydantic import ValidationError
from reading_helpers import Rows, by_id, load, pairs, rated, task, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import load_source


def with_ids() -> Rows:
    return [row | {"prompt_id": i // 3, "response_id": i} for i, row in enumerate(rated())]


def test_an_unknown_answer_is_blamed_on_the_file_of_votes(tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("prompt_id,response_a,response_b,good\n0,0,1,1\n1,3,99,1\n")
    expected = r"votes.csv: line 3, column response_b: '99' is no response_id"
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "answers.csv", with_ids()), judgements_path=votes)


def test_pairs_beside_votes_are_refused(tmp_path: Path) -> None:
    votes = write(tmp_path / "votes.csv", [{"prompt_id": 0}])
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b"}]
    for path in (write(tmp_path / "a.jsonl", pairs()), write(tmp_path / "b.jsonl", rows)):
        with pytest.raises(
            InputError, match=r"bring their labels; leave ingest.judgements_path emp"
        ):
            load(path, judgements_path=votes)


def spoil(path: Path, change: Callable[[str], bytes]) -> Path:
    path.write_bytes(change(write(path.with_suffix(".csv"), pairs()).read_text(encoding="utf-8")))
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.replace(",", ";").encode(), "line 1: the columns are separated by ';'"),
        (lambda t: t.replace(",", "\t").encode(), r"line 1: the columns are separated by '\\t'"),
        (
            lambda t: t.replace(",0\n", ',"0,5"\n').encode(),
            "line 2, column good: '0,5' is not a num",
        ),
        (lambda t: t.replace("q", "\xe9").encode("latin1"), "line 2: byte 0xe9 is not UTF-8; save"),
        (lambda t: t.encode("utf-16"), "the text is UTF-16; save it as UTF-8"),
        (lambda t: t.splitlines()[0].encode(), "the file has no rows"),
        (lambda t: b"", "d.csv: the file is empty"),
    ],
)
def test_a_csv_file_of_another_kind_says_how_to_save_it(
    tmp_path: Path, change: Callable[[str], bytes], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        load(spoil(tmp_path / "d.csv", change))


@pytest.mark.parametrize("name", ["d.csv", "d.json", "d.jsonl", "d.parquet", "d.csv.gz"])
def test_an_empty_file_gets_the_same_words_whatever_its_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    with pytest.raises(InputError, match=rf"{name}: the file is empty$"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [("text", "'text' is not a number"), (-1, "-1 is negative"), ("NaN", "'NaN' is not a number")],
)
def test_a_weight_of_another_kind_is_named(tmp_path: Path, weight: Any, expected: str) -> None:
    rows = [row | {"weight": 1} for row in pairs()]
    rows[2]["weight"] = weight
    with pytest.raises(InputError, match=f"line 4, column weight: {expected}"):
        load(write(tmp_path / "d.csv", rows))


def test_a_number_of_hundreds_of_digits_is_named_by_its_line(tmp_path: Path) -> None:
    for digits, expected in (
        (400, r"line 3, column good: 10+\.\.\. is too large a number"),
        (5000, r"line 3: not valid JSON \(Exceeds the limit"),
    ):
        rows = [json.dumps(row) for row in pairs()]
        rows[2] = rows[2].replace('"good": 0', '"good": 1' + "0" * digits)
        (tmp_path / "d.jsonl").write_text("\n".join(rows))
        with pytest.raises(InputError, match=expected) as caught:
            load(tmp_path / "d.jsonl")
        assert len(str(caught.value)) < 200


def test_ratings_of_a_dialogue_that_are_no_object_are_named(tmp_path: Path) -> None:
    row = {"source": "Hi", "context": "", "system_id": "m", "system_output": "x"}
    rows = [row | {"scores": {"engagingness": 1}} for _ in range(9)]
    rows[4]["scores"] = 3
    path = write(tmp_path / "d.jsonl", rows)
    params = IngestParams.model_validate({"source": "topical_chat", "path": path})
    with pytest.raises(InputError, match="line 5, column scores: '3' is no object with a rating"):
        load_source(params, task("engagingness"))


def test_an_objective_without_a_column_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    for rows in (pairs(), rated()):
        with pytest.raises(InputError, match=r"objective 'goood' \(did you mean 'good'\?\)"):
            load(write(tmp_path / "d.jsonl", rows), "goood")
    votes: Rows = [{"prompt_id": 0, "response_a": 0, "response_b": 1, "good": 1}]
    with pytest.raises(InputError, match=r"v.jsonl: .*'goood' \(did you mean 'good'\?\)"):
        load(
            write(tmp_path / "d.jsonl", with_ids()),
            "goood",
            judgements_path=write(tmp_path / "v.jsonl", votes),
        )


def test_an_answer_said_twice_is_one_answer_with_the_mean_of_its_ratings(tmp_path: Path) -> None:
    rows = [*rated(), rated()[0], rated()[1] | {"good": 8}]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert len(data.responses) == 27
    assert data.responses["score_good"].tolist()[:3] == [0.0, 4.5, 2.0]
    assert data.report["dropped"] == {
        "repeated answers to one prompt": 1,
        "further ratings of an answer, averaged with its first": 1,
    }


def test_raters_are_averaged_and_their_agreement_is_told(tmp_path: Path) -> None:
    rows = [
        row | {"annotator": who, "good": row["good"] + shift * (row["good"] == 2)}
        for row in rated()
        for who, shift in (("ann", 0), ("bob", 1))
    ]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["score_good"].tolist()[:3] == [0.0, 1.0, 2.5]
    agreement = data.report["annotator_agreement"]["good"]  # type: ignore[index]
    assert (agreement["units"], agreement["values"]) == (27, 54)
    assert 0.8 < agreement["alpha"] < 1.0


def test_votes_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    turned = {"response_a": "b0", "response_b": "a0"}
    rows = [*pairs(), pairs()[1], pairs()[0] | turned, pairs()[0] | turned | {"good": 1}]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.report["repeated_pairs"] == {"pairs": 2, "contradicting": 1, "repeated": 2}


def test_one_answer_of_another_order_of_length_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs()
    rows[3]["response_b"] = "x" * 100_000
    report = load(write(tmp_path / "d.jsonl", rows)).report
    assert report["characters_per_response"] == {
        "median": 2.0,
        "max": 100_000,
        "longest_response": "r7",
    }
    assert "answer r7 has 100000 characters, the median 2" in caplog.text


def test_markup_and_control_characters_stay_as_they_are_and_are_told(tmp_path: Path) -> None:
    said = ["<b>a</b>&amp;<script>", "a\x00\x1b[31mb\r\n\tc"]
    rows = pairs()
    rows[0]["response_a"], rows[1]["response_a"] = said
    data = load(write(tmp_path / "d.jsonl", rows))
    assert by_id(data)[data.judgements["response_a"]].tolist()[:2] == said
    assert data.report["responses_with_control_characters"] == 1


def test_words_that_programs_write_for_missing_texts_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs()
    rows[0]["response_a"], rows[1]["response_b"], rows[2]["response_a"] = (
        "NaN",
        "None",
        "None of it",
    )
    data = load(write(tmp_path / "d.jsonl", rows))
    assert {"NaN", "None", "None of it"} <= set(data.responses["response"])
    assert "2 answers are the word a program writes for a missing text ('NaN')" in caplog.text


@pytest.mark.parametrize("first", ["sep=,", "# exported on Monday", "| prompt | response |"])
def test_a_first_line_that_is_no_header_is_named(tmp_path: Path, first: str) -> None:
    (tmp_path / "d.csv").write_text(f"{first}\nprompt,response,good\nq,a,1\n")
    with pytest.raises(InputError, match=re.escape(f"its first line is {first!r}: the names")):
        load(tmp_path / "d.csv")


def test_an_empty_path_is_no_file() -> None:
    for given in ({"path": ""}, {"judgements_path": ""}, {"parts": {"a": {"path": ""}}}):
        with pytest.raises(ValidationError, match="at least 1 character"):
            IngestParams.model_validate({"source": "files"} | given)


def test_a_folder_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder that datasets' save_to_disk did not write"):
        load(tmp_path)
    whole = gzip.compress(write(tmp_path / "d.jsonl", pairs()).read_bytes())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"cut.jsonl.gz: cannot be read"):
        load(tmp_path / "cut.jsonl.gz")


@pytest.mark.parametrize(
    ("words", "reason"),
    [("Couldn't reach it\nfor a long reason", "Could.*it"), ("", "ConnectionError")],
)
def test_a_dataset_that_cannot_be_reached_is_one_line(
    monkeypatch: pytest.MonkeyPatch, words: str, reason: str
) -> None:
    import datasets

    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError(words)

    monkeypatch.setattr(datasets, "load_dataset", offline)
    params = IngestParams.model_validate({"source": "safe_rlhf"})
    with pytest.raises(
        InputError,
        match=rf"^PKU-Alignment/PKU-SafeRLHF: cannot be loaded: {reason}; .*ingest.path$",
    ):
        load_source(params, task("helpfulness"))


def test_a_store_that_fails_in_its_own_words_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Exception):
        """An error of a store's library, no OSError."""

    def refuses(*_: Any, **__: Any) -> Any:
        raise Refused("[Errno 111] Connection refused\nRetrying")

    monkeypatch.setattr(fsspec, "open", refuses)
    expected = r"^hf://datasets/a/b.jsonl: cannot be read: \[Errno 111\] Connection refused; .*ingest.path$"
    with pytest.raises(InputError, match=expected):
        load("hf://datasets/a/b.jsonl")
