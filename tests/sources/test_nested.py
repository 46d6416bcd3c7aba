"""What stands inside cells is reached by a path; items of a list become rows; words become numbers."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from reading_helpers import Rows, by_id, load, pairs, rated, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import SourceData
from mopo_pipeline.sources.nested import unfolded

KINDS = [".jsonl", ".csv", ".parquet"]
WORDS = {"left": 1, "right": 0, "same": 0.5, "unsure": None}


def nested(path: Path, rows: Rows) -> Path:
    """A file of rows with cells inside cells; CSV has them as JSON."""
    if path.suffix == ".csv":
        rows = [
            {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()}
            for row in rows
        ]
    return write(path, rows)


def tasks(n: int = 9) -> Rows:
    """As an annotation tool exports them: two people's results of two questions, in any order."""
    return [
        {
            "data": {"question": f"question {i}", "texts": [f"a{i}", f"b{i}"]},
            "votes": [
                {
                    "by": f"ann{k}",
                    "result": [
                        {"on": "good", "value": {"selected": ("left", "right")[k]}},
                        {"on": "safe", "value": {"selected": ("same", "unsure")[k]}},
                    ][:: 1 - 2 * (i % 2)],
                }
                for k in range(2)
            ],
        }
        for i in range(n)
    ]


PATHS = {
    "prompt": "data.question",
    "response_a": "data.texts.0",
    "response_b": "data.texts.-1",
    "annotator": "votes.*.by",
    "good": "votes.*.result.on=good.value.selected",
    "safe": "votes.*.result.on=safe.value.selected",
}


def exported(path: Path, rows: Rows | None = None, **changed: Any) -> SourceData:
    file = nested(path, tasks() if rows is None else rows)
    return load(file, "good", "safe", columns=PATHS | changed, values=WORDS)


@pytest.mark.parametrize("suffix", KINDS)
def test_each_item_of_a_list_is_a_row_with_its_own_labels_and_annotator(
    tmp_path: Path, suffix: str
) -> None:
    data = exported(tmp_path / f"d{suffix}")
    assert len(data.judgements) == 2 * 9
    texts = by_id(data)
    assert (texts[data.judgements["response_a"]].str[0] == "a").all()
    first, second = (data.judgements[data.judgements["annotator"] == f"ann{k}"] for k in range(2))
    assert set(first["good"]) == {1.0}
    assert set(first["safe"]) == {0.5}
    assert set(second["good"]) == {0.0}
    assert second["safe"].isna().all()


def test_a_list_is_a_value_where_no_star_says_that_its_items_are_rows(tmp_path: Path) -> None:
    system = {"role": "system", "content": "s"}
    rows = [
        {"input": {"messages": [system, {"role": "user", "content": f"u{i}"}]}, "yes": [{"role": "assistant", "content": f"y{i}"}], "no": f"n{i}"}
        for i in range(9)
    ]  # fmt: skip
    columns = {"prompt": "input.messages", "chosen": "yes", "rejected": "no"}
    data = load(nested(tmp_path / "d.jsonl", rows), columns=columns)
    asked = json.loads(data.responses["prompt"][0])
    assert asked == [system, {"role": "user", "content": "u0"}]


def test_a_column_that_is_opened_is_read_whole_beside_it_where_its_name_says_so(
    tmp_path: Path,
) -> None:
    rows = [
        {
            side: [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": side}]
            for side in ("chosen", "rejected")
        }
        for i in range(9)
    ]
    path = nested(tmp_path / "d.jsonl", rows)
    data = load(path, columns={"group": "chosen.0.content"}, split={"by": "group"})
    assert data.judgements.equals(load(path).judgements)
    assert data.responses["group"].nunique() == 9


def test_lists_side_by_side_are_read_item_by_item_and_one_column_may_have_a_dot(
    tmp_path: Path,
) -> None:
    rows = [
        {"prompt": f"q{i}", "answers": ["x", "y", "z"], "good.marks": [1, 2, None]}
        for i in range(9)
    ]
    columns = {"response": "answers.*", "good": "good.marks.*"}
    data = load(nested(tmp_path / "d.jsonl", rows), columns=columns)
    marks = data.responses.groupby("response")["score_good"].first()
    assert marks["x"] == 1.0
    assert marks["y"] == 2.0
    assert data.responses["score_good"].isna().sum() == 9


def test_votes_in_a_file_of_their_own_are_reached_alike(tmp_path: Path) -> None:
    answers = [
        {"prompt": f"q{p}", "prompt_id": f"p{p}", "response_id": f"r{p}{a}", "response": f"t{a}"}
        for p in range(9)
        for a in range(2)
    ]
    votes = [
        {"of": {"prompt": f"p{p}"}, "response_a": f"r{p}0", "response_b": f"r{p}1", "said": ["left", "same"]}
        for p in range(9)
    ]  # fmt: skip
    data = load(
        write(tmp_path / "answers.jsonl", answers),
        judgements_path=nested(tmp_path / "votes.jsonl", votes),
        columns={"prompt_id": "of.prompt", "good": "said.*"},
        values=WORDS,
    )
    assert sorted(data.judgements["good"]) == [0.5] * 9 + [1.0] * 9


def test_a_row_without_items_stays_and_is_counted_where_it_has_no_label(tmp_path: Path) -> None:
    rows = tasks()
    rows[3]["votes"] = []
    rows[4]["votes"] = None
    data = exported(tmp_path / "d.jsonl", rows)
    told: Any = data.report
    assert told["rows"]["pairs"] == {"read": 16, "kept": 14, "dropped": 2}
    assert told["dropped"] == {"pairs without a label": 2}


def test_what_some_rows_lack_is_missing(tmp_path: Path) -> None:
    rows = tasks()
    del rows[2]["votes"][0]["result"][0]["value"]
    assert exported(tmp_path / "d.jsonl", rows).judgements["good"].isna().sum() == 1


NOWHERE: list[tuple[dict[str, str], str]] = [
    ({"prompt": "data.questoin"}, r"every row, column data: .*'questoin' \(did you mean 'question'"),
    ({"good": "votes.*.result.on=god.value"}, "nothing here has 'on=god' .*; found .*'on=good', 'on=safe'"),
    ({"good": "votes.by"}, r"line 1, column votes: .* is a list: before 'by' write \*"),
    ({"good": "data.*.by"}, r"line 1, column data: .* is no list"),
    ({"prompt": "data.question.text"}, r"line 1, column data.question: 'question 0' is no object or list"),
    ({"good": "votes.*.result.*"}, r"has \* twice"),
    ({"prompt": "dat.question"}, "'dat.question', which is no column"),
    ({"response_a": "data.texts.--1"}, r"line 1, column data.texts: .* is a list"),
    ({"good": "data.texts.*"}, r"line 3: votes.*by has 1 items and data.texts.* 2"),
]  # fmt: skip
"""Paths, and what is said of them."""


@pytest.mark.parametrize(("changed", "said"), NOWHERE)
def test_a_path_that_leads_nowhere_is_refused_by_its_step_and_place(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    rows = tasks()
    rows[2]["votes"] = rows[2]["votes"][:1]
    with pytest.raises(InputError, match=said):
        exported(tmp_path / "d.jsonl", rows, **changed)


def test_two_items_of_which_one_is_meant_are_refused(tmp_path: Path) -> None:
    rows = tasks()
    rows[1]["votes"][0]["result"][0]["on"] = "good"
    rows[1]["votes"][0]["result"][1]["on"] = "good"
    with pytest.raises(InputError, match=r"line 2, .*2 items have on=good"):
        exported(tmp_path / "d.jsonl", rows)


def test_faults_inside_a_list_name_the_item(tmp_path: Path) -> None:
    rows = tasks()
    rows[5]["votes"][1]["result"][0]["value"]["selected"] = "lefft"
    with pytest.raises(InputError, match=r"line 6, item 2, column safe: 'lefft' .*ingest\.values"):
        exported(tmp_path / "d.jsonl", rows)


def test_unfolding_a_list_of_one_says_what_the_item_alone_says() -> None:
    table = pd.DataFrame({"x": [f"x{i}" for i in range(4)], "in": [[{"k": i}] for i in range(4)]})
    listed, found = unfolded(table, {"k": "in.*.k"}, "f")
    _, alone = unfolded(table, {"k": "in.0.k"}, "f")
    assert listed["x"].tolist() == table["x"].tolist()
    assert found["k"].tolist() == alone["k"].tolist() == [0, 1, 2, 3]


def test_files_have_names_of_their_own_beside_those_of_all(tmp_path: Path) -> None:
    one = [
        {"question": f"q{i}", "response_a": f"a{i}", "response_b": f"b{i}", "x": 1}
        for i in range(9)
    ]
    two = [row | {"y": 0} for row in one]
    parts = {
        "one": {"path": write(tmp_path / "one.jsonl", one), "columns": {"good": "x"}},
        "two": {"path": write(tmp_path / "two.jsonl", two), "columns": {"good": "y"}},
    }
    data = load(None, parts=parts, columns={"prompt": "question"})
    assert sorted(data.judgements["good"]) == [0.0] * 9 + [1.0] * 9
    parts["two"]["columns"] = {"goood": "y"}
    with pytest.raises(InputError, match=r"names 'goood', which nothing reads"):
        load(None, parts=parts, columns={"prompt": "question"})


@pytest.mark.parametrize("suffix", KINDS)
def test_codes_are_said_as_words_are_and_the_direction_is_not_doubted_then(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row | {"winner": 2 - row.pop("good")} for row in pairs()]
    path = write(tmp_path / f"d{suffix}", rows)
    data = load(path, columns={"good": "winner"}, values={1: 1, "2": 0})
    assert data.judgements["good"].tolist() == [float(i % 2) for i in range(12)]
    assert "exchange" not in caplog.text


@pytest.mark.parametrize("written", [(0, 1), (0.0, 1.0), ("0", "1.00"), (False, True)])
def test_a_code_is_meant_however_its_number_is_written(tmp_path: Path, written: Any) -> None:
    rows = [row | {"good": written[row["good"]]} for row in pairs()]
    data = load(write(tmp_path / "d.jsonl", rows), values={0: 1, "1.0": 0})
    assert data.judgements["good"].tolist() == [1.0 - i % 2 for i in range(12)]


def test_a_word_with_no_meaning_is_refused_and_a_truth_value_as_a_word_too(tmp_path: Path) -> None:
    rows = [row | {"good": ("model_a", "tie (bothbad)")[i % 2]} for i, row in enumerate(pairs())]
    path = write(tmp_path / "d.jsonl", rows)
    with pytest.raises(InputError, match=r"line 2, column good: 'tie \(bothbad\)'.*ingest\.values"):
        load(path, values={"model_a": 1, "tie": 0.5})
    with pytest.raises(ValidationError, match="quotation marks"):
        IngestParams.model_validate({"source": "files", "path": path, "values": {True: 1}})


def test_values_are_refused_where_completions_would_not_be_read_by_them(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{i}", "completions": [{"text": "x", "good": 2}, {"text": "y", "good": 1}]}
        for i in range(9)
    ]
    path = nested(tmp_path / "d.jsonl", rows)
    with pytest.raises(InputError, match=r"completions\.\*\.text"):
        load(path, values={"2": 0})
    columns = {"response": "completions.*.text", "good": "completions.*.good"}
    data = load(path, columns=columns, values={"2": 0})
    assert data.responses.groupby("response")["score_good"].first().to_dict() == {"x": 0, "y": 1}


def test_cells_with_an_inside_are_answered_with_a_path(tmp_path: Path) -> None:
    path = nested(tmp_path / "d.jsonl", tasks())
    with pytest.raises(
        InputError, match=r"Where it stands inside data or votes, name .* by a path"
    ):
        load(path)
    with pytest.raises(InputError, match=r"no column holds answers .* yours in ingest\.columns"):
        load(write(tmp_path / "e.jsonl", [{"prompt": "q", "good": 1, "preferred_output": "x"}]))
    with pytest.raises(InputError, match=r"column good: .* is a list, not a number; name .* path"):
        load(path, "good", "safe", columns={**PATHS, "good": "data.texts"}, values=WORDS)


def test_ratings_in_words_are_read_by_what_they_mean(tmp_path: Path) -> None:
    words = ("Bad", "Good", "N/A")
    path = write(tmp_path / "d.csv", [row | {"good": words[row["good"]]} for row in rated()])
    with pytest.raises(
        InputError, match=r"line 2, column good: 'Bad' .*ingest\.values.* 'Bad', 'Good', 'N/A'"
    ):
        load(path)
    marks = load(path, values={"Bad": 1, "Good": 3, "N/A": None}).responses["score_good"]
    assert sorted(marks.dropna()) == [1.0] * 9 + [3.0] * 9
    assert marks.isna().sum() == 9


@pytest.mark.parametrize(("winner", "told"), [("winner", True), ("model", False)])
def test_a_winner_that_is_not_read_beside_a_choice_is_told(
    tmp_path: Path, winner: str, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rows = [{"prompt": f"q{i}", "one": "x", "two": "y", winner: "model_b"} for i in range(9)]
    load(write(tmp_path / "d.jsonl", rows), columns={"chosen": "one", "rejected": "two"})
    assert ("read as the better one of every row" in caplog.text) == told


def test_lines_of_empty_cells_are_left_out_as_empty_lines_are_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "d.csv", pairs())
    path.write_text(path.read_text() + ",,,\n,,,\n")
    assert len(load(path).judgements) == 12
    assert "empty cells alone are left out, as empty lines are: 2" in caplog.text
    path.write_text(path.read_text() + ",,x,\n")
    with pytest.raises(InputError, match=r"line 16, column prompt: missing value"):
        load(path)


def test_columns_that_are_spelt_otherwise_are_named_as_they_would_be_mapped(tmp_path: Path) -> None:
    names = {"prompt": "Prompt", "response_a": "Response A", "response_b": "Response B"}
    rows = [{names.get(k, k): v for k, v in row.items()} for row in pairs()]
    with pytest.raises(
        InputError,
        match=r"as \{prompt: Prompt, response_a: Response A, response_b: Response B\}",
    ):
        load(write(tmp_path / "d.csv", rows))
    assert len(load(tmp_path / "d.csv", columns=names).judgements) == 12
