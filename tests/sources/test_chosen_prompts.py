"""What a prompt says beside dialogues that bring one of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from reading_helpers import load, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.load import SourceData
from mopo_pipeline.tables import chat_messages


def beside(tmp_path: Path, prompt: Any, chosen: Any, rejected: Any) -> SourceData:
    """Nine rows of a prompt with a dialogue or an answer in chosen and rejected; {} is the row's number."""

    def numbered(cell: Any, i: int) -> Any:
        return json.loads(json.dumps(cell).replace("{}", str(i)))

    rows = [
        {
            key: numbered(cell, i)
            for key, cell in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected))
        }
        for i in range(9)
    ]
    return load(write(tmp_path / "chosen.jsonl", rows))


def told(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


SYSTEM, ASKED = told("system", "Be brief."), told("user", "q{}")


@pytest.mark.parametrize("prompt", [[SYSTEM], [SYSTEM, ASKED]])
def test_what_the_system_was_told_beside_a_dialogue_stays_before_it(
    tmp_path: Path, prompt: Any
) -> None:
    data = beside(
        tmp_path, prompt, [ASKED, told("assistant", "yes")], [ASKED, told("assistant", "no")]
    )
    assert chat_messages(data.responses["prompt"][0]) == [SYSTEM, told("user", "q0")]


def test_a_dialogue_about_something_else_than_its_prompt_is_dropped_with_the_reason(
    tmp_path: Path,
) -> None:
    other = told("user", "another question")
    with pytest.raises(
        InputError, match="used: 9 rows with a dialogue that lacks the prompt beside it"
    ):
        beside(tmp_path, "q{}", [other, told("assistant", "yes")], [other, told("assistant", "no")])


def test_an_answer_that_runs_on_into_turns_of_its_own_is_the_answer_to_its_prompt(
    tmp_path: Path,
) -> None:
    run_on = "Sure.\n\nHuman: and then?\n\nAssistant: {}."
    data = beside(tmp_path, "q{}", f"Yes. {run_on}", f"No. {run_on}")
    assert chat_messages(data.responses["prompt"][0]) == [told("user", "q0")]
    assert data.responses["response"][0] == "Yes. Sure.\n\nHuman: and then?\n\nAssistant: 0."


def test_dialogues_whose_lines_end_as_on_windows_are_read_as_the_same(tmp_path: Path) -> None:
    turns = "\n\nHuman: q{}\n\nAssistant: "
    data = beside(tmp_path, None, f"{turns}yes{{}}", f"{turns}no{{}}")
    windows = turns.replace("\n", "\r\n")
    other = beside(tmp_path, None, f"{windows}yes{{}}", f"{windows}no{{}}")
    assert other.responses.equals(data.responses)
    assert other.judgements.equals(data.judgements)


def test_a_dialogue_whose_question_is_called_otherwise_is_dropped_with_how_turns_begin(
    tmp_path: Path,
) -> None:
    """Before, what the user said became what the system was told."""
    turns = "User: q{}\n\nAssistant: "
    with pytest.raises(InputError, match=r"9 rows with no dialogue .*turns begin with 'Human:'"):
        beside(tmp_path, None, f"{turns}yes{{}}", f"{turns}no{{}}")


def test_a_question_before_the_mark_of_an_answer_is_the_user_s(tmp_path: Path) -> None:
    data = beside(tmp_path, "Write {} lines.\n\nAssistant:", "yes {}", "no {}")
    assert chat_messages(data.responses["prompt"].iloc[0]) == [told("user", "Write 0 lines.")]
