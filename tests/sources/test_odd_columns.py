"""Columns and cells of people's own files that would be passed over or misread without a word."""

import json
import logging
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from reading_helpers import Rows, load, pairs, rated, task, write

from mopo_pipeline.columns import number
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import LabelParams, PreferencesParams
from mopo_pipeline.pipelines.preferences import nodes
from mopo_pipeline.preferences.build import build_comparisons
from mopo_pipeline.sources.load import SourceData


def agreement(data: SourceData) -> Any:
    told: Any = data.report["annotator_agreement"]
    return told["good"]


def counted(data: SourceData) -> Any:
    return data.report["rows"]


def completions(**of_row: Any) -> Rows:
    listed = [{"text": f"answer {a}", "good": a} for a in range(3)]
    return [{"prompt": f"question {p}", "completions": listed} | of_row for p in range(9)]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_weights_of_ratings_are_refused_for_no_comparison_would_use_them(
    tmp_path: Path, suffix: str
) -> None:
    rows = [row | {"weight": 1 + (i == 4)} for i, row in enumerate(rated())]
    with pytest.raises(
        InputError, match=r"(line|row) [56], column weight: 2, but ratings have no weight"
    ):
        load(write(tmp_path / f"rated{suffix}", rows))


def test_weights_of_rows_of_completions_are_refused_alike(tmp_path: Path) -> None:
    rows = [row | {"weight": 1 + i % 2} for i, row in enumerate(completions())]
    with pytest.raises(InputError, match=r"line 2, completion 1, column weight: 2, but ratings"):
        load(write(tmp_path / "lists.jsonl", rows))


@pytest.mark.parametrize("weight", [1, 3, None])
def test_a_weight_that_all_ratings_share_says_nothing_and_is_let_pass(
    tmp_path: Path, weight: Any
) -> None:
    rows = [row | {"weight": weight} for row in rated()]
    assert len(load(write(tmp_path / "rated.jsonl", rows)).responses) == len(rows)


def test_several_annotators_of_completions_are_averaged_and_their_agreement_is_told(
    tmp_path: Path,
) -> None:
    one, other = completions(annotator="ann"), completions(annotator="bob")
    data = load(write(tmp_path / "lists.jsonl", one + other))
    assert agreement(data) == {"alpha": 1.0, "units": 27, "values": 54}


def named_ratings() -> Rows:
    """Two annotators' ratings of the same answers under their ids."""
    rows = [
        row | {"prompt_id": row["prompt"][-1], "response_id": f"{i:03d}"}
        for i, row in enumerate(rated())
    ]
    return [
        row | {"annotator": who, "good": row["good"] + (who == "bob")}
        for who in ("ann", "bob")
        for row in rows
    ]


def test_annotators_of_answers_with_ids_are_averaged_as_those_of_texts_are(tmp_path: Path) -> None:
    data = load(write(tmp_path / "rated.csv", named_ratings()))
    scores = data.responses.set_index("response_id")["score_good"]
    assert scores[["000", "001", "002"]].tolist() == [0.5, 1.5, 2.5]
    assert data.report["rows"] == {"responses": {"read": 54, "kept": 27, "dropped": 27}}
    assert agreement(data)["units"] == 27


def test_one_id_of_two_texts_is_refused_with_both_lines_though_annotators_differ(
    tmp_path: Path,
) -> None:
    rows = named_ratings()
    rows[30]["response"] = "something else"
    with pytest.raises(InputError, match=r"line 31: response 'something else', but line 4 gives"):
        load(write(tmp_path / "rated.jsonl", rows))


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("80%", "without the sign"),
        ("80,5 %", "without the sign"),
        ("4/5", "as one number: 4/5 as 0.8"),
        ("7 out of 10", "as one number"),
        ("TRUE", "write 1 for yes and 0 for no"),
        ("no", "write 1 for yes and 0 for no"),
        ("A", "write 1 where response_a wins"),
        ("model_b", "write 1 where response_a wins"),
        ("Tie", "0.5 for a tie"),
        ("0,5", "write the decimal point as '.'"),
        ("N/A", "leave it empty where it is unknown"),
    ],
)
def test_a_number_written_another_way_is_answered_with_how_to_write_it(
    cell: str, remedy: str
) -> None:
    with pytest.raises(InputError, match=remedy):
        number(cell)


def test_answers_and_prompts_without_words_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs(12)
    for row in rows[:3]:
        row["prompt"] = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": " \n\u00a0"},
        ]
    rows[5]["response_a"] = "\t "
    with caplog.at_level(logging.WARNING):
        data = load(write(tmp_path / "pairs.jsonl", rows))
    assert "6 answers are to a prompt that is empty" in caplog.text
    assert "1 answers are empty" in caplog.text
    assert data.report["responses_to_empty_prompts"] == 6
    assert data.report["rows"] == {"pairs": {"read": 12, "kept": 12, "dropped": 0}}


def test_thousands_of_rated_answers_to_one_prompt_are_compared_without_listing_all_pairs(
    tmp_path: Path,
) -> None:
    rows = rated() + [
        {"prompt": "question 0", "response": f"another {i}", "good": i} for i in range(6_000)
    ]
    data = load(write(tmp_path / "rated.jsonl", rows))
    drawn = build_comparisons(
        data.responses, data.judgements, LabelParams(), ("good",), np.random.default_rng(0)
    )
    per_prompt = drawn.groupby("prompt_id").size()
    assert per_prompt.max() == LabelParams().max_pairs_per_prompt
    score = data.responses.set_index("response_id")["score_good"]
    gap = score[drawn["response_a"]].to_numpy() - score[drawn["response_b"]].to_numpy()
    np.testing.assert_array_equal(
        drawn["good"], np.where(gap > 0, 1.0, np.where(gap < 0, 0.0, 0.5))
    )


def test_two_ids_of_one_text_are_not_compared_with_each_other(tmp_path: Path) -> None:
    rows = [
        row | {"prompt_id": row["prompt"][-1], "response_id": f"{i:03d}"}
        for i, row in enumerate(rated())
    ]
    again = {
        "prompt_id": "0",
        "response_id": "again",
        "prompt": "question 0",
        "response": "answer 0",
        "good": 9,
    }
    data = load(write(tmp_path / "rated.jsonl", [*rows, again]))
    made = build_comparisons(
        data.responses, data.judgements, LabelParams(), ("good",), np.random.default_rng(0)
    )
    assert len(made) == 9 * 3 + 2
    assert not ((made["response_a"] == "000") & (made["response_b"] == "again")).any()


def voted(tmp_path: Path) -> SourceData:
    """Answers in one file, two of them of one text, and votes in another, one without a label."""
    answers = [
        {
            "prompt_id": str(p),
            "response_id": f"{p}{a}",
            "prompt": f"question {p}",
            "response": f"answer {a if p else 0}",
        }
        for p in range(9)
        for a in range(2)
    ]
    votes = [
        {"prompt_id": str(p), "response_a": f"{p}0", "response_b": f"{p}1", "good": p % 2}
        for p in range(9)
    ]
    votes[5]["good"] = None
    path = write(tmp_path / "votes.jsonl", votes)
    return load(write(tmp_path / "answers.jsonl", answers), judgements_path=str(path))


def test_a_vote_on_two_ids_of_one_text_is_dropped_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = voted(tmp_path)
    assert counted(data)["pairs"] == {"read": 9, "kept": 7, "dropped": 2}
    assert data.report["dropped"] == {"pairs of equal responses": 1, "pairs without a label": 1}
    assert "votes.jsonl: dropped 1: pairs of equal responses" in caplog.text


def test_what_is_left_out_of_votes_is_told_of_their_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        voted(tmp_path)
    assert "votes.jsonl: 9 pairs read, 7 kept, 2 dropped" in caplog.text
    assert "votes.jsonl: dropped 1: pairs without a label" in caplog.text
    assert "answers.jsonl: dropped" not in caplog.text


def test_completions_in_a_cell_of_csv_are_read_as_the_list_they_are(tmp_path: Path) -> None:
    rows = [row | {"completions": json.dumps(row["completions"])} for row in completions()]
    one, other = (
        load(write(tmp_path / "a.csv", rows)),
        load(write(tmp_path / "b.jsonl", completions())),
    )
    pd.testing.assert_frame_equal(one.responses, other.responses)


@pytest.mark.parametrize("cell", ["no list", "{", '"text"', "[]", "[1]"])
def test_a_cell_that_is_no_list_of_completions_is_refused_by_its_place(
    tmp_path: Path, cell: str
) -> None:
    rows = completions()
    rows[3]["completions"] = cell
    with pytest.raises(InputError, match=r"line 4.*(is no list of completions|is no object)"):
        load(write(tmp_path / "lists.jsonl", rows))


@pytest.mark.parametrize(
    ("labels", "told"), [((0, 1), True), ((-1, 0, 1), False), ((1, 1), False), ((1, 0.5), True)]
)
def test_labels_from_0_read_as_signed_ones_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: tuple[int, ...], told: bool
) -> None:
    rows = [row | {"good": labels[i % len(labels)]} for i, row in enumerate(pairs(12))]
    load(write(tmp_path / "pairs.jsonl", rows), strongest=1)
    assert ("has labels of 0 or more and none below" in caplog.text) == told


@pytest.mark.parametrize(
    ("wins", "said"), [(1, "response_a wins 100%"), (0, "response_b wins 100%"), (None, "")]
)
def test_labels_that_always_favour_one_side_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wins: int | None, said: str
) -> None:
    rows = [row | {"good": i % 2 if wins is None else wins} for i, row in enumerate(pairs(40))]
    data, asked = load(write(tmp_path / "pairs.jsonl", rows)), task("good")
    made = nodes.build_comparisons(data.responses, data.judgements, asked, PreferencesParams())
    nodes.report_preferences(data.judgements, made, asked)
    assert said in caplog.text
    assert ("of the decided labels" in caplog.text) == bool(said)


@pytest.mark.parametrize("column", ["Split", " group", "WEIGHT", "annotator "])
def test_a_column_that_would_be_read_under_another_spelling_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    rows = [row | {column: "train"} for row in pairs()]
    data = load(write(tmp_path / "pairs.csv", rows))
    known = column.strip().lower()
    assert f"column {column!r} is not read: if it is meant, write it {known!r}" in caplog.text
    assert data.report["rows"] == {"pairs": {"read": 12, "kept": 12, "dropped": 0}}


@pytest.mark.parametrize("other", ["Good", "good ", "GOOD"])
def test_an_objective_under_two_spellings_is_refused_for_half_of_its_labels_would_be_missing(
    tmp_path: Path, other: str
) -> None:
    rows = [
        {(other if key == "good" and i % 2 else key): cell for key, cell in row.items()}
        for i, row in enumerate(pairs())
    ]
    with pytest.raises(
        InputError, match="differ in spelling alone, and only the first would be read"
    ):
        load(write(tmp_path / "pairs.jsonl", rows))


def test_an_objective_encoded_otherwise_than_its_column_is_answered_with_what_to_do(
    tmp_path: Path,
) -> None:
    name = "sch\u00f6n"
    rows = [row | {unicodedata.normalize("NFD", name): row.pop("good")} for row in pairs()]
    with pytest.raises(InputError, match="looks the same and is encoded otherwise: write both"):
        load(write(tmp_path / "pairs.jsonl", rows), name)
    with pytest.raises(ValueError, match="objective names must differ"):
        task(name, unicodedata.normalize("NFD", name))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("Ann", "ann "), "'Ann' and 'ann '"),
        (("Zo\u00eb", "Zoe\u0308"), "1 names of annotators are other spellings"),
        (("Ann", "Anna"), ""),
        (("", " "), "'' and ' '"),
    ],
)
@pytest.mark.parametrize("made", [pairs, rated])
def test_annotators_of_another_spelling_are_told_for_they_count_as_different(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    made: Any,
    names: tuple[str, str],
    told: str,
) -> None:
    rows = [row | {"annotator": names[i % 2]} for i, row in enumerate(made())]
    load(write(tmp_path / "data.csv", rows) if names[0] else write(tmp_path / "data.jsonl", rows))
    assert told in caplog.text
    assert ("other spellings of an earlier one" in caplog.text) == bool(told)


def test_groups_of_another_spelling_are_told_for_splits_may_part_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        row | {"group": f"site {i // 2}" if i % 2 else f"Site_{i // 2}"}
        for i, row in enumerate(pairs())
    ]
    load(write(tmp_path / "pairs.jsonl", rows), split={"by": "group"})
    assert "6 names of groups are other spellings of an earlier one" in caplog.text


@pytest.mark.parametrize(
    ("column", "warned"),
    [
        ("system", "system is not read: what was asked must stand in the column prompt"),
        ("Input", "Input is not read: what was asked must stand in the column prompt"),
        ("margin", "margin is not read: the choice alone is a label"),
        ("source_url", ""),
    ],
)
def test_columns_that_are_not_read_are_named_and_those_that_change_what_is_meant_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, warned: str
) -> None:
    caplog.set_level(logging.INFO)
    load(write(tmp_path / "pairs.csv", pairs(**{column: "x", "annotator": "Ann"})))
    assert f"columns that are not read: {column}\n" in caplog.text
    assert bool(warned) == ("WARNING" in caplog.text)
    assert warned in caplog.text


def test_ratings_beside_votes_are_said_not_to_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        row | {"prompt_id": row["prompt"], "response_id": str(i)} for i, row in enumerate(rated())
    ]
    judged = [
        {
            "prompt_id": rows[i]["prompt"],
            "response_a": str(i),
            "response_b": str(i + 1),
            "good": i % 2,
        }
        for i in range(0, 27, 3)
    ]
    votes = write(tmp_path / "votes.jsonl", judged)
    data = load(write(tmp_path / "rated.jsonl", rows), judgements_path=votes)
    for origin, told in (("auto", True), ("judgements", False), ("ratings", False)):
        caplog.clear()
        params = LabelParams.model_validate({"origin": origin})
        build_comparisons(*data[:2], params, ("good",), np.random.default_rng(0))
        assert ("the ratings are not used" in caplog.text) == told


def test_two_objectives_may_differ_in_spelling_alone(tmp_path: Path) -> None:
    rows = [row | {"Good": 1 - row["good"]} for row in pairs()]
    data = load(write(tmp_path / "pairs.jsonl", rows), "good", "Good")
    assert (data.judgements["good"] == 1 - data.judgements["Good"]).all()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_answers_that_were_not_ended_are_known_as_cut(tmp_path: Path, suffix: str) -> None:
    rows = [row | {"ended": bool(i % 4)} for i, row in enumerate(rated())]
    found = load(write(tmp_path / f"cut{suffix}", rows)).responses
    assert found["ended"].dtype == bool
    assert found["ended"].tolist() == [row["ended"] for row in rows]


@pytest.mark.parametrize("cell", [None, "", 1, "1", "TRUE", True])
def test_an_answer_of_which_nothing_else_is_said_was_ended(tmp_path: Path, cell: Any) -> None:
    rows = [row | {"ended": cell if i else 0} for i, row in enumerate(rated())]
    found = load(write(tmp_path / "some.jsonl", rows)).responses["ended"]
    assert found.tolist() == [False] + [True] * (len(rows) - 1)


def test_of_two_files_one_may_say_which_answers_were_ended(tmp_path: Path) -> None:
    rows = rated()
    paths = {"said": [row | {"ended": 0} for row in rows[:9]], "unsaid": rows[9:]}
    parts = {k: {"path": str(write(tmp_path / f"{k}.jsonl", v))} for k, v in paths.items()}
    found = load(None, parts=parts).responses["ended"]
    assert found.tolist() == [False] * 9 + [True] * 18


def test_a_column_ended_that_says_something_else_is_refused_by_line(tmp_path: Path) -> None:
    rows = [row | {"ended": "2024-05-01"} for row in rated()]
    expected = (
        "line 1, column ended: '2024-05-01' is neither true nor false: .*name the column otherwise"
    )
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "times.jsonl", rows))


def test_that_pairs_cannot_say_which_answer_was_ended_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(write(tmp_path / "pairs.jsonl", [row | {"ended": True} for row in pairs()]))
    assert "column 'ended' is not read of pairs" in caplog.text
