"""Chat messages as files give them: plain text, message lists, content parts, two naming customs."""

import json
import logging
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.columns import is_missing, matching, nearest, place, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.tables import chat_prompt

log = logging.getLogger(__name__)

Message = dict[str, str]

ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
}  # fmt: skip
"""Roles understood, and the name each is stored under."""

_MESSAGES = re.compile(r"\s*[\[{]")
"""How the JSON of messages begins."""

_PYTHON = re.compile(r"\s*\[?\s*\{\s*'(role|from|content|value)'\s*:")
"""How messages begin that Python wrote; a program may begin so too."""

_KEYS = (re.compile(r"'(role|from)'\s*:"), re.compile(r"'(content|value)'\s*:"))
"""What such messages hold, both of them."""


_TWICE = r'^\s*"\s*[\[{]'
"""How JSON begins of a text that may be the JSON of messages."""


THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Keys under which programs keep what a model thought before it answered, beside the answer."""

_THOUGHTS = rf'"({"|".join(THOUGHTS)})"\s*:\s*"[^"]'
"""How JSON looks that holds them."""


def tell_thoughts(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Warn of messages, or completions, that hold thoughts beside their content, by column: content alone is read.

    Args:
        table: cells as written.
        columns: that may hold messages.
        where: the file.
    """
    for column in table.columns.intersection(list(columns)):
        cells = table[column]
        if isinstance(cells.dtype, pd.StringDtype):
            cells = cells[matching(cells, _THOUGHTS, missing=False)]
        if held := sum(_thinks(cell) for cell in cells):
            log.warning(
                "%s: %d of %d cells of column %s hold %s beside the content of a message, which is not read: write into the "
                "content what belongs to the text",
                where,
                held,
                len(table),
                column,
                " or ".join(THOUGHTS),
            )


def _thinks(cell: Any) -> bool:
    """Whether a cell holds messages one of which has thoughts."""
    if isinstance(cell, str):
        try:
            cell = _parsed(cell) if _MESSAGES.match(cell) else None
        except InputError:  # refused or dropped where it is read, by its place
            return False
    messages = cell if isinstance(cell, list | tuple | np.ndarray) else [cell]
    return any(isinstance(m, dict) and any(m.get(key) for key in THOUGHTS) for m in messages)


def written_once(table: pd.DataFrame, columns: Iterable[str], where: str) -> pd.DataFrame:
    """The table, of which columns of messages that were written as JSON twice over are written once.

    Args:
        table: cells as written.
        columns: that may hold messages; one that is absent or holds anything else stays as it is.
        where: the file.

    Raises:
        InputError: some cells of a column are such messages, others are not, with the first of these by place.
    """
    for column in table.columns.intersection(list(columns)):
        cells = table[column]
        if (
            isinstance(cells.dtype, pd.StringDtype)
            and not matching(cells, _TWICE, missing=False).any()
        ):
            continue
        inner = [_inside(cell) for cell in cells]
        other = [
            row for row, cell in enumerate(cells) if inner[row] is None and not is_missing(cell)
        ]
        if len(other) + sum(map(is_missing, cells)) == len(cells):
            continue
        if other:
            twice = next(row for row, found in enumerate(inner) if found is not None)
            raise InputError(
                f"{where}: {place(table, other[0])}, column {column}: {str(cells.iloc[other[0]])[:40]!r} is no JSON of the "
                f"JSON of messages, as {place(table, twice)} holds: write the messages of all rows once as JSON, or all twice"
            )
        table = table.assign(**{column: pd.Series(inner, cells.index, dtype="str")})
    return table


def _inside(cell: Any) -> str | None:
    """The JSON of messages that a cell is the JSON of; None of any other cell."""
    if not isinstance(cell, str) or not re.match(_TWICE, cell):
        return None
    try:
        inner = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return inner if isinstance(inner, str) and _MESSAGES.match(inner) and _parsed(inner) else None


def stored_prompt(value: Any) -> str:
    """A prompt as it is stored: a JSON list of messages with role and content.

    Args:
        value: plain text (one user message), a message, a list of messages, or JSON of these.

    Raises:
        InputError: missing, no text, messages of an unknown layout.
    """
    messages = chat(value)
    if messages is None:
        return chat_prompt(text(value))
    return json.dumps(messages, ensure_ascii=False)


def response_text(value: Any) -> str:
    """The words of a response: plain text, or the content of its one assistant message.

    Raises:
        InputError: missing, no text, other messages than one of the assistant.
    """
    messages = chat(value)
    if messages is None:
        return text(value)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        roles = [message["role"] for message in messages]
        raise InputError(
            f"a response is one message of the assistant, found {roles}; move earlier messages to the prompt"
        )
    return messages[0]["content"]


def chat(value: Any) -> list[Message] | None:
    """Messages of a cell, each with role and content; None where the cell is plain text.

    Raises:
        InputError: messages of an unknown layout, role or kind of content, or written by Python.
    """
    if isinstance(value, str):
        value = _parsed(value) if _MESSAGES.match(value) else None
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple | np.ndarray):
        return None
    if len(value) == 0:
        raise InputError("an empty list of messages; give at least one")
    return [_message(message, number) for number, message in enumerate(value, start=1)]


def _parsed(value: str) -> Any:
    """Messages written as JSON; None for any other text, JSON or not."""
    if _PYTHON.match(value) and all(key.search(value) for key in _KEYS):
        raise InputError(
            f"{value[:40]!r} is Python's text of a message list; write the messages as JSON"
        )
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return None
    messages = parsed if isinstance(parsed, list) else [parsed]
    said = all(
        isinstance(m, dict) and ("role" in m or {"from", "value"} <= set(m)) for m in messages
    )
    return messages if messages and said else None


def _message(message: Any, number: int) -> Message:
    if not isinstance(message, dict):
        raise InputError(
            f"message {number} is {str(message)[:40]!r}, no object with role and content"
        )
    other = {"from", "value"} <= set(message) and is_missing(message.get("role"))
    named = ("from", "value") if other else ("role", "content")
    absent = [key for key in named if key not in message]
    if absent:
        raise InputError(
            f"message {number} has no {absent[0]!r}, only {sorted(message)}; give role and content, or in "
            "ingest.columns the path to what is meant (question.text)"
        )
    role, content = message[named[0]], message[named[1]]
    if not isinstance(role, str) or role not in ROLES:
        meant = nearest(str(role).lower(), ROLES)
        raise InputError(
            f"message {number} has the role {str(role)[:40]!r}{meant}; known are {', '.join(ROLES)}: call it one of these, or leave it out"
        )
    calls = [message.get(key) for key in ("tool_calls", "function_call")]
    if any(
        not is_missing(c) and not (isinstance(c, list | np.ndarray) and len(c) == 0) for c in calls
    ):
        raise InputError(f"message {number} calls tools, which are no text; leave the row out")
    return {"role": ROLES[role], "content": _content(content, number)}


def _content(content: Any, number: int) -> str:
    if is_missing(content):
        raise InputError(f"message {number} has no content; give its text or leave the row out")
    if not isinstance(content, list | tuple | np.ndarray):
        return text(content)
    return "".join(_part(part, number) for part in content)


def _part(part: Any, number: int) -> str:
    if isinstance(part, str):
        return text(part)
    kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
    if kind != "text" or not isinstance(part, dict) or not isinstance(part.get("text"), str):
        raise InputError(
            f"message {number} holds a part of type {kind!r}; only text parts can be used"
        )
    return text(part["text"])
