"""Columns and cells of people's own files that would be passed over or misread without a word."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reading_helpers import Rows, load, pairs, rated, write

from mopo_pipeline.columns import number
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.preferences import LabelParams
from mopo_pipeline.preferences.build import build_comparisons


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
    assert data.report["annotator_agreement"]["good"] == {"alpha": 1.0, "units": 27, "values": 54}


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
    assert data.report["annotator_agreement"]["good"]["units"] == 27


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
