"""What a file can hold that is read as something else than its writer means: told, or read as meant."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reading_helpers import load, pairs, rated, write

from mopo_pipeline.errors import InputError


def said(text: str, **beside: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text, **beside}]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_thoughts_beside_the_content_of_an_answer_are_counted_and_told(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs()
    for row in rows[:3]:
        row["response_a"] = said(row["response_a"], reasoning_content="hm", thinking=None)
    rows[3]["response_b"] = '{"reasoning": "of a program\'s own"}'
    if suffix == ".csv":
        rows = pd.DataFrame(rows).map(_as_json).to_dict("records")
    data = load(write(tmp_path / f"d{suffix}", rows))
    assert set(data.responses["response"]) >= {"a0", "a1", "a2"}
    assert "3 of 12 cells of column response_a hold reasoning_content or" in caplog.text
    assert "cells of column response_b" not in caplog.text


def test_messages_that_python_wrote_are_refused_by_their_place_whatever_they_hold(
    tmp_path: Path,
) -> None:
    python = "[{'role': 'assistant', 'content': 'a', \"thinking\": \"hm\"}]"
    with pytest.raises(InputError, match=r"d\.csv: line 2, column response_a: .*Python's text"):
        load(write(tmp_path / "d.csv", pairs(response_a=python)))


def _as_json(cell: Any) -> Any:
    return json.dumps(cell) if isinstance(cell, list) else cell


def test_an_answer_that_calls_a_function_is_no_empty_answer(tmp_path: Path) -> None:
    called = pairs(response_a=said("", function_call={"name": "search"}))
    with pytest.raises(InputError, match=r"column response_a: message 1 calls tools"):
        load(write(tmp_path / "d.jsonl", called))


def test_names_that_stand_in_several_files_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def parts(*names: str) -> dict[str, Any]:
        files = (
            write(tmp_path / f"{i}.jsonl", pairs(annotator=name, group=name))
            for i, name in enumerate(names)
        )
        return {str(i): {"path": str(path)} for i, path in enumerate(files)}

    with pytest.raises(InputError, match="for the same prompt; make them agree"):
        load(None, parts=parts("ann", "bob"))
    assert "ingest.parts" not in caplog.text
    load(None, parts=parts("7", "7"))
    assert (
        "1 names of the column annotator stand in several of ingest.parts ('7'), and each counts as one person"
        in caplog.text
    )
    assert "1 names of the column group stand in several of ingest.parts" in caplog.text


def test_ratings_of_one_prompt_in_several_files_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = [row | {"response": row["response"] + "!", "good": row["good"] * 10} for row in rated()]
    unlike = [row | {"prompt": f"another {row['prompt']}"} for row in other]
    for rows, told in ((unlike, False), (other, True)):
        one, two = (write(tmp_path / f"{n}.jsonl", r) for n, r in (("a", rated()), ("b", rows)))
        load(None, parts={"a": {"path": str(one)}, "b": {"path": str(two)}})
        assert ("9 prompts stand in several of ingest.parts" in caplog.text) is told


def test_of_ranks_the_lowest_wins_in_ratings_as_in_completions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{("rank_good" if k == "good" else k): v for k, v in row.items()} for row in rated()]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["score_good"].tolist()[:3] == [0.0, -1.0, -2.0]
    assert "less is better" not in caplog.text
    path = write(tmp_path / "e.jsonl", [row | {"rank_good": 1} for row in rated()])
    with pytest.raises(InputError, match=r"columns \['good', 'rank_good'\] both rate 'good'"):
        load(path)
    with pytest.raises(InputError, match="column 'rank_good' would rate an answer, and a row has"):
        load(write(tmp_path / "p.jsonl", [{"rank_good": r.pop("good"), **r} for r in pairs()]))


def test_ratings_called_as_what_is_better_when_less_are_told_and_can_be_turned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{("toxicity" if k == "good" else k): v for k, v in row.items()} for row in rated()]
    path = write(tmp_path / "d.jsonl", rows)
    turned = load(path, columns={"rank_good": "toxicity"})
    assert turned.responses["score_good"].tolist()[:3] == [0.0, -1.0, -2.0]
    assert "less is better" not in caplog.text
    load(path, columns={"good": "toxicity"})
    assert (
        "of two ratings of good (toxicity) the higher one wins; where less is better, set ingest.columns: {rank_good: toxicity}"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("ratings", "told"),
    [
        ((1, 5, 99), "9 ratings in column good are 99, and all others lie from 1 to 5"),
        ((1, 5, -1), "9 ratings in column good are -1, and all others lie from 1 to 5"),
        ((-2, 5, -1), None),
        ((70, 80, 99), None),
    ],
)
def test_a_number_that_may_stand_for_no_rating_is_told(
    ratings: tuple[int, ...],
    told: str | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [row | {"good": ratings[row["good"]]} for row in rated()]
    load(write(tmp_path / "d.jsonl", rows))
    assert told in caplog.text if told else "leave it empty" not in caplog.text


def test_a_word_for_nobody_among_annotators_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(write(tmp_path / "d.jsonl", pairs(annotator="None")))
    assert "'None' among the annotators counts as a name" in caplog.text


def test_answers_that_differ_in_what_nobody_sees_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rated()
    load(write(tmp_path / "d.jsonl", rows))
    assert "nobody sees" not in caplog.text
    rows[1]["response"] = rows[0]["response"] + " "
    rows[3]["response"], rows[4]["response"] = "caf\u00e9", "cafe\u0301"
    assert len(load(write(tmp_path / "d.jsonl", rows)).responses) == len(rows)
    assert (
        "2 of 27 answers looked at differ from another one to their prompt in white" in caplog.text
    )


def test_test_prompts_that_ask_what_training_asks_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        row | {"split": ("train", "validation", "test")[i % 3]} for i, row in enumerate(pairs())
    ]
    load(write(tmp_path / "d.jsonl", rows))
    assert "not new to what is trained" not in caplog.text
    rows[2]["prompt"] = "Question: 0?"
    rows[5]["prompt"] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "question 3"},
        *said("And?"),
        {"role": "user", "content": "go on"},
    ]
    rows[8]["prompt"] = "???"
    load(write(tmp_path / "d.jsonl", rows))
    assert "2 of 4 test prompts begin with the question of a training prompt" in caplog.text
