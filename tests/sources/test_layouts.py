"""One set of preferences, written in every layout that is read, gives the same labels."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reading_helpers import Rows, by_id, load, pairs, rated, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.load import SourceData
from mopo_pipeline.tables import chat_messages

ASKED = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def winners(data: SourceData, name: str) -> list[str]:
    """The text that wins each pair; ``tie`` and ``?`` where none does."""
    texts = by_id(data)
    won = {1.0: "response_a", 0.0: "response_b", 0.5: "tie"}
    found = [won.get(label, "?") for label in data.judgements[name]]
    sides = data.judgements.to_dict("records")
    return [str(texts[row[w]]) if w in row else w for w, row in zip(found, sides, strict=True)]


def trl(kind: str, i: int) -> dict[str, Any]:
    """A row in which ``yes`` is chosen, ``no`` rejected, to the last of three messages."""
    dialogue = [*ASKED, user(f"q{i}")]
    transcript = f"\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: q{i}"
    if kind == "prompt and texts":
        return {"prompt": dialogue, "chosen": f"yes {i}", "rejected": f"no {i}"}
    if kind == "prompt and messages":
        return {"prompt": dialogue, "chosen": said(f"yes {i}"), "rejected": said(f"no {i}")}
    if kind == "implicit prompt":
        return {"chosen": [*dialogue, *said(f"yes {i}")], "rejected": [*dialogue, *said(f"no {i}")]}
    if kind == "prompt, then several turns":
        turn = [*said("Hello."), user(f"q{i}")]
        sides = {"chosen": [*turn, *said(f"yes {i}")], "rejected": [*turn, *said(f"no {i}")]}
        return {"prompt": [user("Hi")]} | sides
    return {
        "chosen": f"{transcript}\n\nAssistant: yes {i}",
        "rejected": f"{transcript}\n\nAssistant: no {i}",
    }


TRL = (
    "prompt and texts", "prompt and messages", "implicit prompt", "prompt, then several turns",
    "transcript",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("kind", TRL)
def test_chosen_and_rejected_with_a_label_of_another_objective(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    rows = [trl(kind, i) | {"safe": [1, 0, 0.5, None][i % 4]} for i in range(12)]
    data = load(write(tmp_path / f"d{suffix}", rows), "good", "safe", chosen="good")
    assert chat_messages(data.responses["prompt"][0]) == [*ASKED, user("q0")]
    assert winners(data, "good") == [f"yes {i}" for i in range(12)]
    assert winners(data, "safe")[:4] == ["yes 0", "no 1", "tie", "?"]
    assert set(data.judgements["good"]) == {0.0, 1.0}


def test_the_only_objective_is_what_was_chosen_on(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", [trl("implicit prompt", i) for i in range(9)])
    assert winners(load(path), "good") == [f"yes {i}" for i in range(9)]


@pytest.mark.parametrize(
    ("columns", "chosen", "expected"),
    [
        ({}, None, "no column for 'good': set ingest.chosen"),
        ({"good": 1, "saef": 1}, None, r"no column for 'safe' \(did you mean 'saef'\?\)"),
        ({"safe": 1}, "goood", r"'goood', no objective \(did you mean 'good'\?\)"),
        ({"safe": 1, "good": 1}, "good", "a column of this name labels it too"),
        ({"saef": 1}, "good", r"no column for objective 'safe'"),
        ({"safe": 2}, "good", "line 1, column safe: label 2 lies outside"),
    ],
)
def test_a_choice_whose_objective_is_unclear_is_refused(
    tmp_path: Path, columns: dict[str, Any], chosen: str | None, expected: str
) -> None:
    rows = [trl("implicit prompt", i) | columns for i in range(9)]
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "d.jsonl", rows), "good", "safe", chosen=chosen)


def test_plain_answers_without_a_prompt_are_refused_with_their_reason(tmp_path: Path) -> None:
    rows = [{"chosen": "The sky is blue.", "rejected": "The sky is green."} for _ in range(9)]
    with pytest.raises(
        InputError, match=r"none of the 9 rows .*no dialogue that ends with an answ"
    ):
        load(write(tmp_path / "d.jsonl", rows))


SCORED: tuple[Any, ...] = (
    lambda good, safe: {"good": good, "safe": safe},
    lambda good, safe: {"score_good": good, "score_safe": safe},
    lambda good, safe: {"scores": {"good": good, "safe": safe}},
    lambda good, safe: {"ranks": {"good": 9 - good}, "rank_safe": None if safe is None else -safe},
)


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORED)
@pytest.mark.parametrize("key", ["text", "response", "content"])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_completions_in_a_row_are_rated_responses(
    tmp_path: Path, suffix: str, key: str, score: Any
) -> None:
    rows: Rows = [
        {
            "prompt": f"q{i}",
            "completions": [
                {key: f"a{j}"} | score(j, None if j == i == 1 else 2 - j) for j in range(3)
            ],
        }
        for i in range(9)
    ]
    data = load(write(tmp_path / f"d{suffix}", rows), "good", "safe")
    assert data.responses["response"].tolist() == ["a0", "a1", "a2"] * 9
    np.testing.assert_array_equal(np.diff(data.responses["score_good"].to_numpy()[:3]), [1, 1])
    np.testing.assert_array_equal(np.diff(data.responses["score_safe"].to_numpy()[:3]), [-1, -1])
    assert data.responses["score_safe"].isna().to_numpy().nonzero()[0].tolist() == [4]
    assert data.report["rows"] == {"responses": {"read": 27, "kept": 27, "dropped": 0}}


def test_one_objective_is_rated_by_a_bare_score_or_rank(tmp_path: Path) -> None:
    for i, rate in enumerate((lambda j: {"score": j}, lambda j: {"rank": 3 - j})):
        completions = [{"text": f"a{j}"} | rate(j) for j in range(3)]
        rows = [{"prompt": f"q{p}", "completions": completions} for p in range(9)]
        scores = load(write(tmp_path / f"{i}.jsonl", rows)).responses["score_good"]
        assert np.diff(scores[:3]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        ("a", "line 2, column completions: 'a' is no list"),
        ([], "line 2, column completions"),
        (["a"], "line 2, completion 1: 'a' is no object"),
        ([{"text": "a", "good": "high"}], "line 2, completion 1: 'high' is not a number"),
        ([{"text": "a", "response": "b", "good": 1}], "line 2, completion 1: one of text"),
        ([{"text": 1.5, "good": 1}], "line 2, completion 1, column response: '1.5' is a float"),
        ([{"text": "a", "good": 1, "score": 2}], "line 2, completion 1: 'good' is rated 2 times"),
    ],
)
def test_a_completion_of_another_build_is_named(
    tmp_path: Path, completions: Any, expected: str
) -> None:
    rows: Rows = [{"prompt": f"q{i}", "completions": [{"text": "a", "good": 1}]} for i in range(9)]
    rows[1]["completions"] = completions
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "d.jsonl", rows))
    if completions and isinstance(completions[0], dict):
        with pytest.raises(InputError, match="no completion has a rating of 'safe'"):
            load(write(tmp_path / "d.jsonl", rows[2:]), "good", "safe")


@pytest.mark.parametrize(
    ("strongest", "written", "labels"),
    [(1, [1, -1, 0, None], [1.0, 0.0, 0.5, -9]), (3, [3, 2, -1, 0], [1.0, 5 / 6, 1 / 3, 0.5])],
)
def test_signed_strengths_are_labels_from_0_to_1(
    tmp_path: Path, strongest: int, written: list[Any], labels: list[float]
) -> None:
    rows = [row | {"good": written[i % 4], "safe": 1} for i, row in enumerate(pairs())]
    data = load(write(tmp_path / "d.jsonl", rows), "good", "safe", strongest=strongest)
    np.testing.assert_allclose(data.judgements["good"].fillna(-9)[:4], labels)
    rows[2]["good"] = -4
    with pytest.raises(InputError, match=r"line 3, column good: label -4 lies outside \[-"):
        load(write(tmp_path / "d.jsonl", rows), "good", "safe", strongest=strongest)
    with pytest.raises(InputError, match=r"set ingest.strongest to N"):
        load(write(tmp_path / "d.jsonl", rows), "good", "safe")


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    names = {"prompt": "question", "response_a": "left", "response_b": "right", "good": "vote"}
    rows = [{names[k]: v for k, v in row.items()} | {"prompt": "x"} for row in pairs()]
    path = write(tmp_path / "d.csv", rows)
    expected = load(write(tmp_path / "e.csv", pairs()))
    for frame in ("responses", "judgements"):
        assert getattr(load(path, columns=names), frame).equals(getattr(expected, frame))
    with pytest.raises(
        InputError, match=r"'qestion', which is no column \(did you mean 'question'"
    ):
        load(path, columns=names | {"prompt": "qestion"})


def test_columns_are_mapped_in_both_of_two_files(tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "prompt_id": i // 3, **row} for i, row in enumerate(rated())]
    votes = [
        {"prompt_id": i, "first": f"r{3 * i}", "second": f"r{3 * i + 1}", "good": 1}
        for i in range(9)
    ]
    columns = {"response_id": "id", "response_a": "first", "response_b": "second"}
    paths = write(tmp_path / "r.jsonl", rows), write(tmp_path / "votes.csv", votes)
    data = load(paths[0], judgements_path=paths[1], columns=columns)
    assert data.judgements["response_b"].tolist() == [f"r{3 * i + 1}" for i in range(9)]
    with pytest.raises(InputError, match=r"votes.csv: ingest.columns names 'secnd'.*'second'"):
        load(paths[0], judgements_path=paths[1], columns=columns | {"response_b": "secnd"})


def test_files_of_several_objectives_are_read_as_one_with_their_weights(tmp_path: Path) -> None:
    write(tmp_path / "kind.jsonl", [trl("transcript", i) for i in range(9)])
    safe = [trl("implicit prompt", i) | {"weight": 2} for i in range(9)]
    write(tmp_path / "safe.jsonl.gz", [])
    lines = "\n".join(json.dumps(row) for row in safe)
    (tmp_path / "safe.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    parts = {
        "kind": {"path": tmp_path / "kind.jsonl", "chosen": "good"},
        "safe": {"path": tmp_path / "safe.jsonl.gz", "chosen": "safe", "weight": 0.5},
    }
    data = load(None, "good", "safe", parts=parts)
    assert len(data.responses) == 18
    assert winners(data, "good") == [f"yes {i}" for i in range(9)] + ["?"] * 9
    assert winners(data, "safe") == ["?"] * 9 + [f"yes {i}" for i in range(9)]
    assert data.judgements["weight"].tolist() == [1.0] * 18
    assert data.report["rows"] == {"pairs": {"read": 18, "kept": 18, "dropped": 0}}
    assert data.report["repeated_pairs"] == {"pairs": 9, "contradicting": 0, "repeated": 0}


def test_a_fault_in_one_of_several_files_names_that_file(tmp_path: Path) -> None:
    bad = [row | {"split": "train"} for row in pairs()]
    parts = {
        "a": {"path": write(tmp_path / "a.csv", [r | {"split": "test"} for r in pairs()])},
        "b": {"path": write(tmp_path / "b.csv", bad)},
    }
    expected = (
        r"line 2 of .*b.csv: split 'train', but line 2 of .*a.csv gives 'test' for the same p"
    )
    with pytest.raises(InputError, match=expected):
        load(None, parts=parts)
    parts["b"] = {"path": write(tmp_path / "b.csv", rated()), "weight": 2.0}
    with pytest.raises(InputError, match=r"b.csv: ingest.parts.b.weight is 2, but ratings have no"):
        load(None, parts=parts)
    parts["b"] = {"path": write(tmp_path / "b.csv", rated())}
    with pytest.raises(InputError, match=r"b.csv holds responses, .*a.csv pairs"):
        load(None, parts=parts)


@pytest.mark.parametrize("splits", [None, "train"])
def test_a_folder_of_save_to_disk_is_read(tmp_path: Path, splits: str | None) -> None:
    import datasets

    datasets.disable_progress_bars()
    table = datasets.Dataset.from_list(pairs(14)).select(range(12))
    whole = table if splits is None else datasets.DatasetDict({"train": table, "other": table})
    whole.save_to_disk(tmp_path / "d")
    assert load(tmp_path / "d").responses.equals(
        load(write(tmp_path / "e.jsonl", pairs())).responses
    )
    if splits:
        with pytest.raises(InputError, match=r"no split 'test', there are \['other', 'train'\]"):
            load(tmp_path / "d", hub_split="test")
    with pytest.raises(InputError, match="save_to_disk did not write"):
        load(tmp_path)


def test_zstandard_and_remote_files_are_read(tmp_path: Path) -> None:
    import fsspec

    plain = write(tmp_path / "d.csv", pairs())
    expected = load(plain).responses
    packed = pa.Codec("zstd").compress(plain.read_bytes(), asbytes=True)
    (tmp_path / "d.csv.zst").write_bytes(packed)
    assert load(tmp_path / "d.csv.zst").responses.equals(expected)
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/d.csv.zst", packed)
    assert load("memory://bucket/d.csv.zst").responses.equals(expected)
    with pytest.raises(InputError, match=r"memory://bucket/e.csv: no such file"):
        load("memory://bucket/e.csv")
    (tmp_path / "cut.csv.zst").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"cut.csv.zst: cannot be read"):
        load(tmp_path / "cut.csv.zst")


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_store_whose_library_is_missing_gets_the_install_line(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    import fsspec

    def absent(*_: Any, **__: Any) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", absent)
    with pytest.raises(InputError, match=rf"pip install 'mopo_pipeline\[{scheme}\]'"):
        load(f"{scheme}://bucket/d.csv")
