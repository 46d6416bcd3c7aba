"""What a sample of the texts holds that its writer hardly meant: marks of templates, prompts said again, spoilt letters."""

import logging
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.alike import said_alike
from mopo_pipeline.paged import parts_of_rows
from mopo_pipeline.tables import chat_messages, folded

log = logging.getLogger(__name__)

MOST = 50_000
"""Answers to so many prompts that are looked at for others that read alike."""

LOOKED_AT = 1000
"""Rows that are looked at, evenly spaced: what is found of them is told of all."""


class Mark(NamedTuple):
    """Something texts may hold.

    Attributes:
        pattern: that finds it.
        share: of texts that hold it from which it is told.
        told: what it means, and what to do.
    """

    pattern: re.Pattern[str]
    share: float
    told: str


ENDS = Mark(
    re.compile(
        r"(</s>|<\|(im_end|endoftext|eot_id|end_of_text|end)\|>|<end_of_turn>|<eos>|<extra_id_\d>\w*)\s*\Z"
    ),
    0.02,
    "end with a token that ends texts, which would be learned as words: cut it off, the model's own end is added",
)
TEMPLATES = Mark(
    re.compile(
        r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|<extra_id_\d>|\A\s*(Human|User|### ?\w+):.*\n\s*"
        r"(Assistant|### ?(Response|Assistant)):?\s*\Z",
        re.DOTALL,
    ),
    0.02,
    "hold the marks of a chat template, and the model's own are put around them: give the bare text, or a list of messages "
    "with role and content",
)
QUOTED = Mark(
    re.compile(r"\A\s*(['\"]).*\1\s*\Z", re.DOTALL),
    0.9,
    "stand in quotation marks, which are read as part of them: take them away",
)
LISTED = Mark(
    re.compile(r"\A\s*(\[.*\]|\{.*\})\s*\Z", re.DOTALL),
    0.9,
    "look like lists or objects of JSON, are no messages, and are read as the text they are: give messages with role and "
    "content, or the bare text",
)
SPOILT = (
    QUOTED,
    Mark(
        re.compile("\r\n"),
        0.02,
        "hold lines that end in CR LF, as Windows writes them: a model would learn both",
    ),
    Mark(
        re.compile("\ufffd"),
        0.0,
        "hold U+FFFD, what is left of letters that were lost: read the source again as UTF-8",
    ),
    Mark(
        re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac"),
        0.02,
        "hold letters such as \u00c3\u00a4, which are UTF-8 read as another encoding: read the source again as UTF-8",
    ),
    Mark(
        re.compile(r"&(amp|quot|lt|gt|apos|nbsp|#\d+);"),
        0.1,
        "hold entities of HTML such as &amp;: unescape them (Python: html.unescape), unless pages are meant",
    ),
    Mark(
        re.compile(r"\A[^\n]*\S\\n[^\n]*\Z"),
        0.1,
        r"hold a backslash and an n where a line should end: they were escaped twice",
    ),
)


def tell_marks(responses: pd.DataFrame, where: str) -> None:
    """Warn of what a sample of prompts and answers holds.

    Args:
        responses: checked responses, prompts stored.
        where: the file or source.
    """
    rows = np.unique(np.linspace(0, len(responses) - 1, LOOKED_AT).astype(np.intp))
    answers = _texts(responses["response"], rows)
    messages = [chat_messages(prompt) for prompt in _texts(responses["prompt"], rows)]
    asked = [said[-1]["content"] for said in messages]
    _tell(where, "prompts", asked, (TEMPLATES, LISTED, *SPOILT))
    _tell(where, "answers", answers, (ENDS, *SPOILT))
    _tell_spellings(responses, where)
    begun = [
        len(question) > 1 and answer.startswith(question)
        for question, answer in zip(asked, answers, strict=True)
    ]
    _warn(
        where, "answers", begun, 0.2, "begin with their prompt, which is given anyway: cut it off"
    )
    open_ended = [said[-1]["role"] != "user" for said in messages]
    _warn(
        where,
        "prompts",
        open_ended,
        0.0,
        "end with another message than the user's, and the model answers after it: where it is the answer's beginning, put it "
        "there",
    )


def _tell_spellings(responses: pd.DataFrame, where: str) -> None:
    """Warn of answers that differ from another one to their prompt in what nobody sees."""
    prompt_of = said_alike(responses["prompt_id"])
    some = np.unique(np.linspace(0, prompt_of.max(), LOOKED_AT).astype(np.intp))
    rows = np.flatnonzero(np.isin(prompt_of, some))[:MOST]
    first: dict[tuple[int, str], str] = {}
    texts = _texts(responses["response"], rows)
    twins = [
        first.setdefault((int(prompt), folded(text)), text) != text
        for prompt, text in zip(prompt_of[rows], texts, strict=True)
    ]
    _warn(
        where,
        "answers",
        twins,
        0.0,
        "differ from another one to their prompt in white space, Unicode's form or characters nobody sees alone, and are "
        "compared with it as another answer: write them alike if they are one",
    )


def _texts(column: pd.Series, rows: NDArray[np.intp]) -> list[str]:
    """The texts of some rows (m,), which ascend, of a column that need not fit into memory."""
    return [text for part in parts_of_rows(column, rows) for text in part]


def _tell(where: str, what: str, texts: list[str], marks: tuple[Mark, ...]) -> None:
    for mark in marks:
        found = [mark.pattern.search(text) is not None for text in texts]
        _warn(where, what, found, mark.share, mark.told)


def _warn(where: str, what: str, found: list[bool], share: float, told: str) -> None:
    if sum(found) > share * len(found):
        log.warning("%s: %d of %d %s looked at %s", where, sum(found), len(found), what, told)
