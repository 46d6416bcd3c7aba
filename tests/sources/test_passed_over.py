"""Parameters, columns and rows that would be passed over without a word."""

import datetime
import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from reading_helpers import load, pairs, rated, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import HUB_SCHEMAS, IngestParams
from mopo_pipeline.parameters.preferences import LabelParams
from mopo_pipeline.preferences.build import build_comparisons
from mopo_pipeline.sources.reading import read_table
from mopo_pipeline.sources.sampled import _prompts


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("pocket", {"path": "mine.jsonl"}),
        ("pocket", {"parts": {"a": {"path": "mine.jsonl"}}}),
        ("topical_chat", {"path": "a.json", "judgements_path": "votes.csv"}),
        ("hh_rlhf", {"strongest": 3}),
        ("helpsteer", {"judgements_path": "votes.csv"}),
        ("files", {"path": "a.jsonl", "hub_id": "org/name"}),
        ("sampled", {"chosen": "helpful"}),
    ],
)
def test_a_key_that_a_source_does_not_read_is_refused_with_the_sources_that_do(
    source: str, given: dict[str, Any]
) -> None:
    key = list(given)[-1]
    with pytest.raises(ValidationError, match=f"{key} has no effect with source {source}: set ing"):
        IngestParams.model_validate({"source": source} | given)


def test_every_source_takes_the_keys_that_it_reads() -> None:
    for source in ("files", "topical_chat", "sampled", *HUB_SCHEMAS):
        assert IngestParams.model_validate({"source": source, "path": "x.jsonl"}).path == "x.jsonl"


def test_a_name_of_a_column_that_nothing_reads_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", pairs(w=2.0))
    with pytest.raises(InputError, match=r"names 'weigth', .*\(did you mean 'weight'\?\)"):
        load(path, columns={"weigth": "w"})
    assert load(path, columns={"weight": "w"}).judgements["weight"].tolist() == [2.0] * 12


def test_a_choice_or_a_strength_without_its_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"ingest.chosen is 'good', but the file has no columns ch"
    ):
        load(write(tmp_path / "d.jsonl", pairs()), chosen="good")
    with pytest.raises(InputError, match=r"ingest.strongest is 3, but ratings have no strongest"):
        load(write(tmp_path / "r.jsonl", rated()), strongest=3)


def test_the_splits_of_a_folder_that_are_not_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from datasets import Dataset, DatasetDict

    parts = {"train": Dataset.from_list(pairs()), "test": Dataset.from_list(pairs(7))}
    DatasetDict(parts).save_to_disk(tmp_path / "d")
    caplog.clear()
    assert len(read_table(tmp_path / "d", "train")) == 12
    assert "train alone is read (ingest.hub_split), not test (7 rows)" in caplog.text


def test_prompts_of_a_file_beyond_the_limit_are_known(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", [{"prompt": f"question {i % 9}"} for i in range(10)])
    given = {"source": "sampled", "path": str(path), "limit": 4}
    prompts, repeated = _prompts(IngestParams.model_validate(given))
    assert (len(prompts), repeated) == (9, 1)


def test_pairs_of_weight_0_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [row | {"weight": i % 3} for i, row in enumerate(pairs())]
    report = load(write(tmp_path / "d.jsonl", rows)).report
    assert report["dropped"] == {"pairs of weight 0": 4}
    assert report["rows"] == {"pairs": {"read": 12, "kept": 8, "dropped": 4}}


def test_answers_without_any_rating_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row | {"good": None if i % 3 == 1 else i} for i, row in enumerate(rated())]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert "9 of 27 answers have no rating; they are kept, and compared with none" in caplog.text
    assert data.report["responses_without_a_rating"] == 9


def test_prompts_of_which_not_all_pairs_are_compared_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = load(write(tmp_path / "d.jsonl", rated(answers=5)))

    def told(most: int) -> list[str]:
        caplog.clear()
        params, rng = LabelParams(max_pairs_per_prompt=most), np.random.default_rng(0)
        build_comparisons(data.responses, data.judgements, params, ("good",), rng)
        return [r.getMessage() for r in caplog.records]

    assert told(10) == []
    assert "answers to 9 prompts 4 pairs each are compared" in told(4)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('prompt,response_a,response_b,good\nq, "yes", "no", 1\n', "line 2: a quotation mark st"),
        ('prompt, "response_a", "response_b", "good"\nq,y,n,1\n', "line 1: a quotation mark sta"),
        ('prompt,response_a,response_b,good\nq, "y,es", "no", 1\n', "line 2: a quotation mark s"),
        (
            'prompt,response_a,response_b,good\nq,"say \\"yes\\"",no,1\n',
            "line 2: .*one is written twice",
        ),
    ],
)
def test_quotation_marks_of_another_custom_are_named_by_line(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "d.csv")


def test_a_text_that_begins_with_a_blank_and_a_quotation_mark_is_read_as_it_is(
    tmp_path: Path,
) -> None:
    said = [' "Yes", she said, "no\nor yes"', ' "', '"', "plain"]
    table = read_table(write(tmp_path / "d.csv", [{"a": text, "b": " x"} for text in said]))
    assert table["a"].tolist() == said


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, 2], "where 2 says that the second wins, write 0 for it"),
        ([-1, 1], r"labels from -N \(b wins\) to N set ingest.strongest to N"),
        ([-3, 1], r"labels from -N \(b wins\) to N set ingest.strongest to N"),
        ([2, 5], r"from 1 \(b wins\) to N \(a wins\) is written as \(label - 1\)/\(N - 1\)"),
        ([0, 2], "where 2 says that they tie, write 0.5 for it"),
        ([-1, 0], "where -1 says that nobody knows, leave it empty; where it says that b wins"),
        ([0, 85], "shares of 100 are divided by 100"),
        (["a0", "b1"], "Winners are named by their texts or ids: write 1 or 0 in place of"),
    ],
)
def test_labels_of_another_scale_are_answered_by_what_they_are(
    labels: list[Any], said: str, tmp_path: Path
) -> None:
    rows = [row | {"good": labels[i % 2]} for i, row in enumerate(pairs())]
    with pytest.raises(InputError, match=said):
        load(write(tmp_path / "d.jsonl", rows))


def test_a_split_that_the_file_s_own_column_leaves_empty_is_answered_by_that_column(
    tmp_path: Path,
) -> None:
    rows = [row | {"split": ["train", "test"][i % 2]} for i, row in enumerate(pairs())]
    with pytest.raises(
        InputError, match="the file's column split names no validation: name some of its prompts"
    ):
        load(write(tmp_path / "d.jsonl", rows))
    assert "validation" in set(load(write(tmp_path / "d.jsonl", pairs())).responses["split"])


@pytest.mark.parametrize("path", ["/" + "x" * 300 + ".jsonl", "/" + "x/" * 3000 + "a.jsonl"])
def test_a_path_longer_than_a_file_system_takes_is_no_such_file(path: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(path)


def test_rows_that_say_the_same_of_a_pair_are_told_unless_annotators_tell_them_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turned = {"response_a": "b3", "response_b": "a3", "good": 0}
    path = write(tmp_path / "d.jsonl", [*pairs(), *pairs()[:4], pairs()[3] | turned])
    assert load(path).report["repeated_pairs"] == {"pairs": 4, "contradicting": 0, "repeated": 5}
    assert "5 rows say of a pair what another one says, and each counts as a vote" in caplog.text
    caplog.clear()
    rows = [row | {"annotator": who} for who in ("ann", "bob") for row in pairs()]
    load(write(tmp_path / "d.jsonl", rows))
    assert "counts as a vote" not in caplog.text


def test_completions_say_which_of_them_were_ended(tmp_path: Path) -> None:
    listed = [{"text": f"a{i}", "good": i, "ended": i != 1} for i in range(3)]
    rows = [{"prompt": f"question {i}", "completions": listed} for i in range(9)]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["ended"].tolist() == [True, False, True] * 9


def test_a_rating_of_a_row_with_two_answers_is_named(tmp_path: Path) -> None:
    rows = [{("score_good" if k == "good" else k): v for k, v in row.items()} for row in pairs()]
    with pytest.raises(InputError, match="'score_good' would rate an answer, and a row has two"):
        load(write(tmp_path / "d.jsonl", rows))


@pytest.mark.parametrize("column", ["response_a ", "Prompt", "RESPONSE-B"])
def test_a_text_under_two_spellings_is_refused_for_only_one_would_be_read(
    column: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "d.jsonl", pairs(**{column: "other"}))
    with pytest.raises(InputError, match=f"and '{column}' differ in spelling alone"):
        load(path)


@pytest.mark.parametrize("column", ["Prompt_ID", "Ended", "response id"])
def test_a_column_that_may_be_left_out_is_told_under_another_spelling(
    column: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row | {column: str(i)} for i, row in enumerate(rated())]
    load(write(tmp_path / "d.jsonl", rows))
    assert f"column {column!r} is not read: if it is meant" in caplog.text


def test_what_a_table_of_types_holds_for_a_text_is_answered_by_what_can_be_done(
    tmp_path: Path,
) -> None:
    rows = pairs(group=datetime.date(2024, 1, 1))
    with pytest.raises(InputError, match="is a date, not text; store the column as text"):
        load(write(tmp_path / "d.parquet", rows))


def test_a_split_by_few_groups_counts_groups(tmp_path: Path) -> None:
    rows = [row | {"group": f"g{i % 2}"} for i, row in enumerate(pairs())]
    with pytest.raises(InputError, match=r"split is empty \(2 groups in all\); add groups"):
        load(write(tmp_path / "d.jsonl", rows), split={"by": "group"})


def test_what_stands_in_a_file_of_votes_and_is_not_read_of_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [
        row | {"prompt_id": f"p{i // 3}", "response_id": f"r{i}"} for i, row in enumerate(rated())
    ]
    file = write(tmp_path / "d.jsonl", answers)

    def votes(**cells: Any) -> Path:
        ids = [(f"p{i}", f"r{3 * i}", f"r{3 * i + 1}") for i in range(9)]
        rows = [
            {"prompt_id": p, "response_a": a, "response_b": b, "good": i % 2} | cells
            for i, (p, a, b) in enumerate(ids)
        ]
        return write(tmp_path / "v.jsonl", rows)

    load(file, judgements_path=votes(split="test"))
    assert "v.jsonl: column 'split' is not read of votes: it belongs to the prompts" in caplog.text
    with pytest.raises(InputError, match="Winners are named by their texts or ids"):
        load(file, judgements_path=votes(good="r0"))


def test_faults_that_differ_from_row_to_row_are_told_in_a_few_lines(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{i}", "chosen": [f"yes {i}"] if i < 20 else "yes", "rejected": f"no {i}"}
        for i in range(40)
    ]
    dropped: Any = load(write(tmp_path / "d.jsonl", rows)).report["dropped"]
    assert len(dropped) == 9 and dropped["rows with other faults"] == 12
    with pytest.raises(InputError, match="none of the 20 rows can be used: ") as told:
        load(write(tmp_path / "d.jsonl", rows[:20]))
    assert len(str(told.value)) < 400


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("A>B", "write 1 where A, the first answer, wins"),
        ("[[C]]", "write 1 where A, the first answer, wins"),
        ("rejected", "write 1 where the chosen answer wins"),
        ("both bad", "write 1 where response_a wins"),
        ("tie (bothbad)", "write 1 where response_a wins"),
        ("A-is-slightly-better", "write 1 where response_a wins"),
        ("response_1", "write 1 where response_a wins"),
        ("same", "write 1 where response_a wins"),
    ],
)
def test_a_winner_in_words_is_answered_by_the_number_it_is(
    cell: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        load(write(tmp_path / "d.jsonl", pairs(good=cell)))


def test_a_file_packed_twice_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    content = write(tmp_path / "d.jsonl", pairs()).read_bytes()
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(gzip.compress(content)))
    with pytest.raises(InputError, match="compressed by gzip twice; unpack it once"):
        load(tmp_path / "d.jsonl.gz")


def test_a_prompt_of_another_order_of_length_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pairs()
    rows[3]["prompt"] = "x" * 50_000
    load(write(tmp_path / "d.jsonl", rows))
    assert "the prompt of answer r6 has 50000 characters, over 50 times the median" in caplog.text
