"""Prompts and responses given as chat messages: their text is taken, or the row is refused."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_helpers import load, pairs, write

from mopo_pipeline.columns import text_column
from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.messages import response_text, stored_prompt
from mopo_pipeline.tables import chat_messages, chat_prompt

QUESTION = [{"role": "user", "content": "Why?"}]


def said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": content}]


@pytest.mark.parametrize(
    "prompt",
    [
        "Why?",
        QUESTION,
        QUESTION[0],
        json.dumps(QUESTION),
        json.dumps(QUESTION[0]),
        [{"from": "human", "value": "Why?"}],
        [{"from": "human", "value": "Why?", "role": None, "content": None}],
        [{"from": None, "value": None, "role": "user", "content": "Why?"}],
        [{"role": "user", "content": [{"type": "text", "text": "Wh"}, {"text": "y?"}]}],
        [{"role": "user", "content": "Why?", "tool_calls": None, "name": None}],
    ],
)
def test_one_question_is_stored_alike_however_it_is_written(prompt: Any) -> None:
    assert stored_prompt(prompt) == chat_prompt("Why?")


@pytest.mark.parametrize("value", ["[1, 2]", '{"a": 1}', "[", "", '[{"a": 1}]', "[{'a': 1}]"])
def test_other_json_is_the_text_it_is(value: str) -> None:
    assert stored_prompt(value) == chat_prompt(value)
    assert response_text(value) == value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_plain_text_comes_back_as_it_was(value: str) -> None:
    (message,) = chat_messages(stored_prompt(f"x{value}"))
    assert message == {"role": "user", "content": f"x{value}"}
    assert response_text(f"x{value}") == f"x{value}"


@pytest.mark.parametrize(
    "value", [said("Because."), json.dumps(said("Because.")), said(["Because."])]
)
def test_the_content_of_the_assistants_message_is_the_response(value: Any) -> None:
    assert response_text(value) == "Because."


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (said(None), "message 1 has no content"),
        (said([{"type": "image", "url": "x"}]), "a part of type 'image'"),
        ([*QUESTION, *said("x")], r"one message of the assistant, found \['user', 'assistant'\]"),
        (QUESTION, "one message of the assistant"),
        ([{"role": "tool", "content": "x"}], "the role 'tool'"),
        ([{"role": "assistant", "content": "x", "tool_calls": [{"id": 1}]}], "calls tools"),
        ([{"role": "assistant", "content": "x", "tool_calls": 3}], "calls tools"),
        ([{"role": ["assistant"], "content": "x"}], r"the role \"\['assistant'\]\""),
        ([{"role": "assistant"}], "message 1 has no 'content'"),
        (["x"], "message 1 is 'x', no object"),
        ([], "an empty list"),
        (str(said("x")), "Python's text of a message list"),
        (str(said("x")[0]), "Python's text of a message list"),
        (str([{"content": "don't", "role": "assistant"}]), "Python's text of a message list"),
        (str({"content": "x", "role": "assistant"}), "Python's text of a message list"),
        (str([{"value": "x", "from": "gpt"}]), "Python's text of a message list"),
        (None, "missing value"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_response_of_another_build_is_refused(value: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        response_text(value)


@pytest.mark.parametrize("text", ["{'content': 1}", "[{'value': x} for x in y]", "{'role'"])
def test_a_program_that_begins_as_a_message_would_is_a_text(text: str) -> None:
    assert response_text(text) == text


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_message_lists_of_a_file_are_read_and_a_bad_one_is_named(
    tmp_path: Path, suffix: str
) -> None:
    rows = [
        row
        | {
            "prompt": [{"role": "system", "content": "Be brief."}, *QUESTION],
            "response_a": said(f"a{i}"),
            "response_b": said(f"b{i}"),
        }
        for i, row in enumerate(pairs())
    ]
    for i, row in enumerate(rows):
        row["prompt"] = [row["prompt"][0], {"role": "user", "content": f"Why {i}?"}]
    data = load(write(tmp_path / f"d{suffix}", rows))
    assert data.responses["response"].tolist()[:3] == ["a0", "b0", "a1"]
    assert chat_messages(data.responses["prompt"][2]) == rows[1]["prompt"]
    rows[4]["response_a"] = said(None)
    place = "line" if suffix == ".jsonl" else "row"
    with pytest.raises(InputError, match=f"{place} 5, column response_a: message 1 has no content"):
        load(write(tmp_path / f"d{suffix}", rows))


BEGINNINGS = ("", " ", "\n", "\u00a0", "\u3000", "\x85", "\x1c", "x", "\u00e9", "~")
CELLS = st.one_of(
    st.none(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4),
    st.builds(
        str.__add__,
        st.sampled_from(BEGINNINGS),
        st.sampled_from([json.dumps(said("x")), json.dumps(said(1.5)), "[1]", "{", str(said("x"))]),
    ),
)


@given(st.lists(CELLS, min_size=1, max_size=6))
def test_a_column_of_text_reads_as_each_of_its_cells_does(cells: list[str | None]) -> None:
    places = pd.Index(range(2, len(cells) + 2), name="line")
    typed = pd.DataFrame({"a": pd.Series(cells, dtype="str").set_axis(places)})
    found: list[Any] = []
    for table in (typed, typed.astype(object)):
        try:
            found.append(text_column(table, "a", "f", response_text, keeps_text=True).tolist())
        except InputError as error:
            found.append(str(error))
    assert found[0] == found[1]


def twice(value: Any) -> str:
    return json.dumps(json.dumps(value))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_messages_written_as_json_twice_over_are_read(tmp_path: Path, suffix: str) -> None:
    rows = [
        {
            "prompt": twice([{"role": "user", "content": f'question "{i}"'}]),
            "response_a": twice(said(f"a{i}")),
            "response_b": twice(said(f"b{i}")),
            "good": i % 2,
        }
        for i in range(12)
    ]
    found = load(write(tmp_path / f"twice{suffix}", rows)).responses
    assert set(found["prompt"]) == {chat_prompt(f'question "{i}"') for i in range(12)}
    assert set(found["response"]) == {f"{side}{i}" for side in "ab" for i in range(12)}


@pytest.mark.parametrize("other", ["plain", json.dumps(QUESTION), json.dumps("plain")])
def test_a_column_of_which_some_messages_are_written_twice_is_refused_by_line(
    tmp_path: Path, other: str
) -> None:
    rows = pairs(12)
    for i, row in enumerate(rows):
        row["prompt"] = twice([{"role": "user", "content": f"question {i}"}])
    rows[5]["prompt"] = other
    expected = (
        r"line 6, column prompt: .* is no JSON of the JSON of messages, as line 1 holds: write"
    )
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "mixed.jsonl", rows))


def test_quoted_texts_and_other_json_written_twice_stay_the_texts_they_are(tmp_path: Path) -> None:
    rows = pairs(12)
    for i, row in enumerate(rows):
        texts = json.dumps(f"[{i}] said"), twice([1, i]), twice({"a": i}), f'"[{i}" is open'
        row["prompt"] = texts[i % 4]
    found = load(write(tmp_path / "quoted.jsonl", rows)).responses
    assert set(found["prompt"]) == {chat_prompt(row["prompt"]) for row in rows}
