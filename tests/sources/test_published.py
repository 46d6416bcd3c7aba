"""Published schemas: what their rows leave out is a missing label or a counted row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reading_helpers import Rows, by_id, load, task, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import SourceData, load_source
from mopo_pipeline.tables import chat_messages


def published(tmp_path: Path, source: str, rows: Rows, *names: str) -> SourceData:
    path = write(tmp_path / "d.jsonl", rows)
    return load_source(IngestParams.model_validate({"source": source, "path": path}), task(*names))


def safe(**cells: Any) -> Rows:
    return [
        {
            "prompt": f"q{i}",
            "response_0": f"x{i}",
            "response_1": f"y{i}",
            "better_response_id": i % 2,
            "safer_response_id": 1,
            **cells,
        }
        for i in range(9)
    ]


@pytest.mark.parametrize("nobody", [None, -1])
def test_a_winner_nobody_named_is_a_missing_label(tmp_path: Path, nobody: int | None) -> None:
    rows = safe()
    rows[2]["better_response_id"] = rows[5]["better_response_id"] = nobody
    rows[5]["safer_response_id"] = nobody
    data = published(tmp_path, "safe_rlhf", rows, "helpfulness", "harmlessness")
    expected = [1.0, 0.0, np.nan, 0.0, 1.0, 1.0, 0.0, 1.0]
    np.testing.assert_array_equal(data.judgements["helpfulness"], expected)
    assert data.judgements["harmlessness"].tolist() == [0.0] * 8
    assert data.report["dropped"] == {"pairs without a label": 1}


@pytest.mark.parametrize("winner", [2, True, "first", 0.5])
def test_a_winner_that_is_no_response_is_refused_by_line(tmp_path: Path, winner: Any) -> None:
    rows = safe()
    rows[3]["better_response_id"] = winner
    with pytest.raises(InputError, match=r"d.jsonl: line 4: "):
        published(tmp_path, "safe_rlhf", rows, "helpfulness")


@pytest.mark.parametrize("column", ["weight", "annotator", "split", "group"])
def test_what_a_schema_passes_over_of_a_pair_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    published(tmp_path, "safe_rlhf", safe(**{column: 1}), "helpfulness")
    assert (
        f"d.jsonl: {column} not read in the safe_rlhf schema; ingest.source: files" in caplog.text
    )


def test_a_harm_that_is_neither_there_nor_not_is_refused_by_line(tmp_path: Path) -> None:
    row = {"response": "x", "is_safe": True, "category": {"privacy_violation": 2}}
    rows = [row | {"prompt": f"q{i}"} for i in range(9)]
    with pytest.raises(InputError, match=r"line 1: 2 is neither yes nor no"):
        published(tmp_path, "beavertails", rows, "no_privacy_violation")


def hh(question: str, better: str, worse: str, before: str = "") -> dict[str, Any]:
    return {
        side: f"{before}\n\nHuman: {question}\n\nAssistant: {answer}"
        for side, answer in (("chosen", better), ("rejected", worse))
    }


def test_a_bad_dialogue_is_one_dropped_row_with_its_reason(tmp_path: Path) -> None:
    rows = [hh(f"q{i}", f"yes {i}", f"no {i}") for i in range(12)]
    rows[1]["rejected"] = rows[2]["rejected"]
    rows[3]["chosen"] = "no dialogue"
    rows[4]["chosen"] = None
    rows[5] = hh("q5", "same", "same")
    data = published(tmp_path, "hh_rlhf", rows, "harmlessness")
    assert len(data.judgements) == 8
    assert data.report["dropped"] == {
        "rows whose chosen and rejected answer different prompts": 1,
        "rows with no dialogue that ends with an answer of the assistant (turns begin with 'Human:' and 'Assistant:' after an "
        "empty line)": 1,
        "rows with missing value; fill it or drop the row": 1,
        "pairs of equal responses": 1,
    }


def test_text_before_the_first_turn_is_what_the_system_was_told(tmp_path: Path) -> None:
    rows = [hh(f"q{i}", "yes", "no", "System: Be brief.") for i in range(9)]
    data = published(tmp_path, "hh_rlhf", rows, "harmlessness")
    assert chat_messages(data.responses["prompt"][0]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q0"},
    ]


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.parametrize("prompt", ["q{}", "\n\nHuman: q{}\n\nAssistant:", "list"])
@pytest.mark.parametrize("answer", ["text", "message", "dialogue"])
def test_chosen_and_rejected_are_read_beside_a_prompt(
    tmp_path: Path, prompt: str, answer: str
) -> None:
    def said(i: int, text: str) -> Any:
        spoken = message("assistant", text)
        asked = message("user", f"q{i}")
        return {"text": text, "message": [spoken], "dialogue": [asked, spoken]}[answer]

    rows = [
        {
            "prompt": [message("user", f"q{i}")] if prompt == "list" else prompt.format(i),
            "chosen": said(i, "yes"),
            "rejected": said(i, "no"),
        }
        for i in range(9)
    ]
    data = published(tmp_path, "hh_rlhf", rows, "harmlessness")
    assert chat_messages(data.responses["prompt"][0]) == [message("user", "q0")]
    texts = by_id(data)
    won = [
        texts[row["response_a" if row["harmlessness"] == 1 else "response_b"]]
        for _, row in data.judgements.iterrows()
    ]
    assert won == ["yes"] * 9


def test_a_rating_missing_on_one_axis_leaves_the_answer_its_others(tmp_path: Path) -> None:
    def marks(i: int, j: int) -> dict[str, Any]:
        honesty = "N/A" if j == 0 else None if (i, j) == (1, 1) else str(j)
        return {"helpfulness": {"Rating": str(j)}, "honesty": {"Rating": honesty}}

    rows = [
        {
            "instruction": f"q{i}",
            "completions": [{"response": f"r{i}{j}", "annotations": marks(i, j)} for j in range(3)],
        }
        for i in range(9)
    ]
    rows[0]["completions"].append(rows[0]["completions"][0])
    rows[1]["completions"].append({"response": None, "annotations": marks(1, 2)})
    rows[2]["completions"].append({"response": "x", "annotations": {"helpfulness": None}})
    data = published(tmp_path, "ultrafeedback", rows, "helpfulness", "honesty")
    assert len(data.responses) == 27
    assert not data.responses["score_helpfulness"].isna().any()
    assert int(data.responses["score_honesty"].isna().sum()) == 10
    assert data.report["dropped"] == {
        "repeated answers to one prompt": 1,
        "answers without a text": 1,
        "answers without a rating": 1,
    }
    rows[3]["completions"][1]["annotations"]["honesty"] = {"Rating": "high"}
    with pytest.raises(InputError, match="line 4: 'high' is not a number"):
        published(tmp_path, "ultrafeedback", rows, "helpfulness", "honesty")
    rows[3]["completions"] = "none"
    with pytest.raises(InputError, match="line 4: not built as the schema says"):
        published(tmp_path, "ultrafeedback", rows, "helpfulness", "honesty")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_turn_marks_of_helpsteer_are_messages(tmp_path: Path, end: str) -> None:
    prompt = "Why?\n<extra_id_1>Assistant\nWhat?\n<extra_id_1>User\nThis {}.".replace("\n", end)
    rows = [
        {"prompt": prompt.format(i), "response": f"r{i}{j}", "helpfulness": j, "verbosity": 2}
        for i in range(9)
        for j in range(2)
    ]
    data = published(tmp_path, "helpsteer", rows, "helpfulness", "conciseness")
    assert [m["role"] for m in chat_messages(data.responses["prompt"][0])] == [
        "user",
        "assistant",
        "user",
    ]
    with pytest.raises(InputError, match="no labels for objective 'coherence'"):
        published(tmp_path, "helpsteer", rows, "helpfulness", "coherence")


def test_a_summary_of_no_post_is_dropped(tmp_path: Path) -> None:
    rows: Rows = [
        {"info": {"post": f"post {i}"}, "summary": {"text": f"s{i}", "axes": {"overall": 3}}}
        for i in range(9)
    ]
    rows[0]["info"] = {"post": None}
    data = published(tmp_path, "summarize", rows, "overall")
    assert data.report["dropped"] == {"answers without a text": 1}
    assert "None" not in json.dumps(data.responses["prompt"].tolist())


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "set ingest.chosen to the objective"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "whole conversations"),
    ],
)
def test_a_file_of_another_layout_is_told_what_to_do(
    tmp_path: Path, row: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        load(write(tmp_path / "d.jsonl", [row]), "good", "safe")
