"""What texts hold that their writer hardly meant is told, with how many of them."""

import re
from pathlib import Path
from typing import Any

import pytest
from reading_helpers import load, pairs, rated, write

USER = {"role": "user", "content": "Why?"}


def told(path: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    load(path)
    return [r.getMessage() for r in caplog.records if " looked at " in r.getMessage()]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"response_a": "yes{}</s>", "response_b": "no{}</s>"}, "answers .* cut it off"),
        ({"response_a": "yes{}<|im_end|>\n"}, "12 of 24 answers .* end with a token"),
        ({"prompt": "<|im_start|>user\nq{}<|im_end|>"}, "24 of 24 prompts .* a chat template"),
        ({"prompt": "<s>[INST] q{} [/INST]"}, "prompts .* a chat template"),
        ({"prompt": "<extra_id_0>System\nBe brief {}."}, "prompts .* a chat template"),
        ({"response_a": "yes{}\n<extra_id_1>User\n"}, "12 of 24 answers .* end with a token"),
        ({"prompt": "\n\nHuman: q{}\n\nAssistant:"}, "prompts .* a chat template"),
        ({"prompt": "### Instruction:\nq{}\n\n### Response:\n"}, "prompts .* a chat template"),
        ({"response_a": "sch\ufffdn {}"}, r"U\+FFFD, what is left of letters"),
        ({"response_a": "sch\u00c3\u00b6n {}"}, "UTF-8 read as another encoding"),
        ({"response_a": "it&#39;s {}"}, "entities of HTML"),
        ({"response_a": "one {}\\ntwo"}, "a backslash and an n"),
        (
            {"response_a": "question {} yes", "response_b": "question {} no"},
            "begin with their prom",
        ),
        ({"prompt": [USER, {"role": "assistant", "content": "Well {}"}]}, "the user's, and"),
    ],
)
def test_a_sign_of_a_slip_is_told(
    cells: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def cell(value: Any, number: int) -> Any:
        if isinstance(value, str):
            return value.replace("{}", str(number))
        return [m | {"content": m["content"].replace("{}", str(number))} for m in value]

    rows = [row | {k: cell(v, i) for k, v in cells.items()} for i, row in enumerate(pairs())]
    found = told(write(tmp_path / "d.jsonl", rows), caplog)
    assert len(found) == 1, found
    assert re.search(said, found[0])


def test_ordinary_texts_and_programs_are_left_in_peace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rated()
    rows[0]["response"] = 'print("<s>text</s>")\nprint("a\\nb")'
    rows[1]["response"] = "Human: a person.\nAssistant: who helps one."
    rows[2]["response"] = "&amp; is how pages write an ampersand"
    rows[3]["prompt"] = "Human or Assistant: who said that?"
    rows[4]["response"] = "Übergrößenträger, naïve café: €5"
    assert told(write(tmp_path / "d.jsonl", rows), caplog) == []
