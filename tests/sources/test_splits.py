"""One text, one prompt, one split."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_helpers import load, pairs, rated, task, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import SourceData, load_source
from mopo_pipeline.tables import chat_prompt, normalised_prompt


def crossed(data: SourceData) -> set[str]:
    splits = data.responses.groupby(data.responses["prompt"].map(normalised_prompt))["split"]
    return {str(prompt) for prompt, count in splits.nunique().items() if count > 1}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(["NFC", "NFD"]))
def test_white_space_and_unicode_form_make_no_other_prompt(text: str, form: str) -> None:
    other = "\t" + unicodedata.normalize(form, text.replace(" ", "  ")) + " \n"
    assert normalised_prompt(chat_prompt(other)) == normalised_prompt(chat_prompt(text))


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u2060", "\u00ad"])
def test_characters_nobody_sees_make_no_other_prompt(tmp_path: Path, unseen: str) -> None:
    rows = pairs()
    again = [row | {"prompt": unseen + str(row["prompt"])} for row in rows]
    data = load(write(tmp_path / "d.jsonl", [*rows, *again]))
    assert data.responses["prompt_id"].nunique() == len(rows)
    assert data.report["merged"] == {"other spellings of a prompt": len(rows)}


@pytest.mark.parametrize(
    ("one", "other"),
    [("Why", "why"), ("x²", "x2"), ("a b", "ab"), ("👩\u200d🔬", "👩🔬")],
)
def test_other_letters_make_another_prompt(one: str, other: str) -> None:
    assert normalised_prompt(chat_prompt(one)) != normalised_prompt(chat_prompt(other))


SPELLINGS = ("caf\u00e9 {}?", "cafe\u0301 {}?", "caf\u00e9  {}? ")


def test_pairs_to_three_spellings_of_a_prompt_are_votes_on_one_pair(tmp_path: Path) -> None:
    rows = [
        row | {"prompt": spelling.format(i)}
        for i, row in enumerate(pairs())
        for spelling in SPELLINGS
    ]
    data = load(write(tmp_path / "d.jsonl", rows))
    assert data.responses["prompt_id"].nunique() == 12
    assert len(data.responses) == 24
    assert data.report["merged"] == {"other spellings of a prompt": 24}
    assert data.judgements.groupby(["response_a", "response_b"]).size().tolist() == [3] * 12
    assert not crossed(data)


def test_two_ids_of_one_text_are_one_prompt_with_the_answers_of_both(tmp_path: Path) -> None:
    rows = [
        row | {"prompt_id": f"{turn}-{i // 3}", "response_id": f"{turn}-{i}"}
        for turn in ("first", "second")
        for i, row in enumerate(rated())
    ]
    for row in rows[27:]:
        row["prompt"] += " "
    data = load(write(tmp_path / "d.jsonl", rows))
    assert set(data.responses.groupby("prompt_id").size()) == {6}
    assert set(data.responses["prompt_id"]) == {f"first-{i}" for i in range(9)}
    assert data.report["merged"] == {"other ids or spellings of a prompt": 9}
    assert not crossed(data)
    labels = [
        {"prompt_id": "second-0", "response_a": "first-0", "response_b": "second-1", "good": 1}
    ]
    judged = load(
        write(tmp_path / "d.jsonl", rows), judgements_path=write(tmp_path / "l.jsonl", labels)
    )
    assert judged.judgements["prompt_id"].tolist() == ["first-0"]


def test_one_id_of_two_texts_is_refused_with_both_lines(tmp_path: Path) -> None:
    rows = [row | {"prompt_id": "same"} for row in rated()]
    with pytest.raises(InputError, match=r"line 4: prompt .*but line 1 gives .*same prompt_id"):
        load(write(tmp_path / "d.jsonl", rows))


@pytest.mark.parametrize("column", ["split", "group"])
def test_contradictions_about_one_text_are_refused_with_both_lines(
    tmp_path: Path, column: str
) -> None:
    names = ("train", "validation", "test")
    told = [row | {column: names[i % 3]} for i, row in enumerate(pairs())]
    again = told[4] | {column: "test", "prompt": "question  4"}
    expected = f"line 13: {column} 'test', but line 5 gives 'validation' for the same prompt"
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "d.jsonl", [*told, again]))
    listed = [row | {column: names[i // 3 % 3]} for i, row in enumerate(rated())]
    listed[1][column] = "test"
    with pytest.raises(InputError, match=f"line 2: {column} 'test', but line 1 gives 'train'"):
        load(write(tmp_path / "r.jsonl", listed))


def test_the_splits_of_a_file_are_kept(tmp_path: Path) -> None:
    names = ("train", "validation", "test")
    rows = [row | {"split": names[i % 3]} for i, row in enumerate(pairs())]
    responses = load(write(tmp_path / "d.csv", rows)).responses
    assert responses["split"].tolist() == [names[i % 3] for i in range(12) for _ in range(2)]


def test_a_group_stands_in_one_split_where_the_split_is_by_group(tmp_path: Path) -> None:
    rows = [row | {"group": f"g{i // 4}"} for i, row in enumerate(pairs(48))]
    path = write(tmp_path / "d.jsonl", rows)
    by_group = load(path, split={"by": "group"}).responses
    assert set(by_group.groupby("group")["split"].nunique()) == {1}
    by_prompt = load(path).responses
    assert by_prompt.groupby("group")["split"].nunique().max() > 1
    with pytest.raises(InputError, match="no column 'group'"):
        load(write(tmp_path / "e.jsonl", pairs()), split={"by": "group"})
    names = ("train", "validation", "test")
    given = [row | {"split": names[i % 3]} for i, row in enumerate(rows)]
    with pytest.raises(InputError, match="for the same group"):
        load(write(tmp_path / "f.jsonl", given), split={"by": "group"})


def test_groups_that_stand_in_several_splits_are_told_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(
        tmp_path / "d.jsonl", [row | {"group": f"g{i // 6}"} for i, row in enumerate(pairs(48))]
    )
    load(path, split={"by": "group"})
    assert "several splits" not in caplog.text
    load(path)
    assert "8 of 8 groups stand in several splits" in caplog.text
    assert "set ingest.split.by: group" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("by", "known"), [("prompt", 1.0), ("group", 0.0)])
def test_pocket_settings_are_known_by_prompt_and_new_by_group(by: str, known: float) -> None:
    params = IngestParams.model_validate({"source": "pocket", "split": {"by": by}})
    responses = load_source(params, task("helpfulness", "harmlessness")).responses
    train, test = (responses[responses["split"] == split] for split in ("train", "test"))
    assert test["group"].isin(set(train["group"])).mean() == known
    assert set(responses.groupby("group")["prompt"].nunique()) == {8}
