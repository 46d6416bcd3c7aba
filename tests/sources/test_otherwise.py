"""Columns of published sets whose name, or neighbour, says that labels mean another thing than they are read as."""

from pathlib import Path
from typing import Any

import pytest
from reading_helpers import Rows, load, pairs, rated, write

ARENA = {"winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0}


def published(first: str, second: str, **labels: Any) -> Rows:
    """Pairs under a set's own names; of two values of a label they alternate."""
    return [
        {
            "prompt": f"question {i}",
            first: f"a{i}",
            second: f"b{i}",
            **{k: v[i % len(v)] if isinstance(v, tuple) else v for k, v in labels.items()},
        }
        for i in range(12)
    ]


@pytest.mark.parametrize(
    ("sides", "label", "values", "warned"),
    [
        (("response_0", "response_1"), "better_response_id", (0, 1), True),  # PKU-SafeRLHF
        (("response_1", "response_0"), "better_response_id", (0, 1), False),
        (("answer_0", "answer_1"), "label", (0, 1), True),
        (("answer_0", "answer_1"), "score_0", (0.3, 0.8), False),  # WebGPT, shifted
        (("left", "right"), "choice", (0, 1), True),  # summarize_from_feedback
        (("response_a", "response_b"), "winner_model_b", (0, 1), True),  # Chatbot Arena
        (("response_a", "response_b"), "winner_model_a", (0, 1), False),
        (("text_a", "text_b"), "b_is_better", (False, True), True),
        (("human_ref_A", "human_ref_B"), "labels", (0, 1), False),  # SHP
        (("left", "right"), "preferred", (0, 0.5), False),  # no index
        (("left", "right"), "share", (0, 1), False),
    ],
)
def test_a_label_that_its_column_calls_the_place_of_the_winner_is_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    sides: tuple[str, str],
    label: str,
    values: tuple[Any, Any],
    warned: bool,
) -> None:
    rows = published(*sides, **{label: values})
    columns = dict(zip(("response_a", "response_b"), sides, strict=True))
    data = load(write(tmp_path / "set.jsonl", rows), columns=columns | {"good": label})
    told = f"a 1 in good ({label}) is read as {sides[0]} (response_a) wins: where it says that {sides[1]}"
    assert (told in caplog.text) == warned
    assert ("exchange response_a and response_b" in caplog.text) == warned
    assert set(data.judgements["good"]) == {float(v) for v in values}


@pytest.mark.parametrize("turned", [False, True])
def test_strengths_of_which_a_negative_one_speaks_for_the_first_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, turned: bool
) -> None:
    rows = published("response1", "response2", overall_preference=(-3, 1))
    sides = {"response_a": "response2", "response_b": "response1"}
    if not turned:
        sides = {"response_a": "response1", "response_b": "response2"}
    for row in rows:
        row["individual_preference"] = [{"score": row["overall_preference"]}] * 2
    path = write(tmp_path / "helpsteer.jsonl", rows)
    for label in ("overall_preference", "individual_preference.*.score"):
        caplog.clear()
        load(path, columns=sides | {"good": label}, strongest=3)
        assert (f"a positive good ({label}) is read as response1" in caplog.text) != turned


@pytest.mark.parametrize(("tie", "warned"), [(0, True), (0.5, False)])
def test_pairs_that_a_column_beside_the_label_calls_ties_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tie: float, warned: bool
) -> None:
    rows = [
        row | ARENA | {"winner_model_a": (1, 0, tie)[i % 3], "winner_tie": int(i % 3 == 2)}
        for i, row in enumerate(pairs())
    ]
    load(write(tmp_path / "arena.csv", rows), columns={"good": "winner_model_a"})
    assert ("winner_tie is not read, and no label is a tie" in caplog.text) == warned


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("score_chosen", "score_rejected"),  # ultrafeedback_binarized
        ("chosen-rating", "rejected-rating"),  # ultrafeedback-binarized-preferences-cleaned
        ("rating_chosen", "rating_rejected"),  # distilabel-capybara-dpo
    ],
)
def test_chosen_answers_that_are_marked_no_higher_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, chosen: str, rejected: str
) -> None:
    marks = [(5, 3), (4, 4), (3, 5), (2, 1)]
    rows = published("chosen", "rejected")
    marked = [
        row | dict(zip((chosen, rejected), marks[i % 4], strict=True)) for i, row in enumerate(rows)
    ]
    load(write(tmp_path / "marked.jsonl", marked))
    told = f"of 12 rows 3 have equal {chosen} and {rejected}, and of 3 the chosen one is lower"
    assert told in caplog.text
    caplog.clear()
    higher = [row | {chosen: 5, rejected: 1} for row in rows]
    load(write(tmp_path / "higher.jsonl", higher))
    assert "have equal" not in caplog.text


@pytest.mark.parametrize(
    ("column", "warned"),
    [("severity_level", True), ("risk", True), ("hate_score", True), ("harmlessness", False)],
)
def test_ratings_called_as_what_is_better_when_there_is_less_of_it_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, warned: bool
) -> None:
    rows = [{column if k == "good" else k: v for k, v in row.items()} for row in rated()]
    load(write(tmp_path / "rated.jsonl", rows), columns={"good": column})
    assert ("where less is better" in caplog.text) == warned


def test_rows_that_are_later_turns_of_conversations_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row | {"turn": i % 3} for i, row in enumerate(rated())]  # as PRISM's utterances
    load(write(tmp_path / "turns.jsonl", rows))
    assert "turn differs from row to row and is not read" in caplog.text
    caplog.clear()
    load(write(tmp_path / "first.jsonl", [row | {"turn": 0} for row in rows]))
    assert "turn differs" not in caplog.text


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_whole_numbers_of_annotators_are_one_name_beside_empty_cells(
    tmp_path: Path, suffix: str
) -> None:
    """A column of 1 and 2 is one of 1.0 and 2.0 as soon as a cell is empty, and the other file's is not."""
    whole = [row | {"annotator": 1 + i % 2} for i, row in enumerate(pairs())]
    some = [row | {"annotator": (1.0, 2.0, None)[i % 3]} for i, row in enumerate(pairs())]
    parts = {
        "whole": {"path": str(write(tmp_path / f"whole{suffix}", whole))},
        "some": {"path": str(write(tmp_path / f"some{suffix}", some))},
    }
    assert set(load(None, parts=parts).judgements["annotator"]) == {"1", "2", ""}


def test_names_that_differ_by_a_fraction_of_0_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row | {"annotator": ("1", "1.0", "2", "v2.5")[i % 4]} for i, row in enumerate(pairs())]
    load(write(tmp_path / "pairs.csv", rows))
    assert (
        "1 names of annotators are other spellings of an earlier one ('1' and '1.0')" in caplog.text
    )
