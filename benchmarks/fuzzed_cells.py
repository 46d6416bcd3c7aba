"""Cells as people write them, each with what it means; ``BAD`` where it means nothing that can be used."""

import unicodedata
from typing import Any

import numpy as np

BAD = object()
"""What a cell means that must be refused, or whose row must be counted as dropped."""

MISSING = float("nan")

PIECES = (
    "an answer", "007", "1e3", "nan", "NULL", "True", "-0", "3.0", "N/A", "[", "{", "{}", "[]", "[1, 2]",
    '{"a": 1}', "<b>x</b>&amp;", "a\tb", "x\r\ny", "two\nlines", "\x00\x1b[31m", "\u00a0", "\u2028sep",
    "e\u0301", "\u00e9", "\U0001f600", "\u0645\u0631\u062d\u0628\u0627", "\ufeffmark", "0,5", "a,b;c", 'say "hi"', "'quoted'",
    "=1+1", "\\", "\\n", "<extra_id_1>", "\u3000wide\u3000", "\x85next", "\u200bnone", "\uffff", "x" * 4000,
)  # fmt: skip

BAD_TEXTS = (
    None, 1.5, True, float("nan"), [], {}, [1], {"a": 1}, {"role": "tool", "content": "x"}, [{"role": "assistant"}],
    [{"role": "assistant", "content": None}], "\ud800x", "[{'role': 'assistant', 'content': 'x'}]",
    [{"role": "assistant", "content": [{"type": "image", "url": "x"}]}],
    [{"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}],
    [["x"]], [{"role": ["assistant"], "content": "x"}], [{"role": "assistant", "content": "x", "tool_calls": 3}], [{"content": "x"}],
)  # fmt: skip
BAD_TEXTS_OF_CSV = ("", "[{'role': 'assistant', 'content': 'x'}]")

LABELS = (
    (0, 0.0), (1, 1.0), (0, 0.0), (1, 1.0), (0.5, 0.5), (0.25, 0.25), ("1", 1.0), (" 0.5 ", 0.5), (True, 1.0), (False, 0.0),
    (None, MISSING), ("", MISSING), (" ", MISSING), ("1e0", 1.0), ("+1", 1.0), (".5", 0.5), ("1.", 1.0), (float("nan"), MISSING),
)  # fmt: skip
NO_NUMBERS = (
    "x", "0,5", "nan", "inf", float("inf"), [1], {"a": 1}, "\uff11", "1_0", "0x1", "1e999", 10**400, "1 0", "--1", "N/A",
    "\u22121", "1%", "null",
)  # fmt: skip
OUT_OF_RANGE = (2, -1, -0.01, "1.5", 1e9)

WEIGHTS = ((1, 1.0), (0, 0.0), (2.5, 2.5), (None, 1.0), ("", 1.0), ("3", 3.0))
BAD_WEIGHTS = (-1, "x", "-0.5", "NaN", [1], 10**400)

JUNK = (
    None,
    "",
    "x",
    0,
    -1,
    1.5,
    True,
    float("nan"),
    10**400,
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"role": []},
    "\ud800",
    "[",
    '[{"role": 1}]',
)


class Draw:
    """Draws by one generator, with the cells of a file's kind."""

    def __init__(self, rng: np.random.Generator, kind: str) -> None:
        self.rng, self.kind = rng, kind
        self.lists = kind == "arrow" and self.chance(0.5)

    def one(self, options: Any) -> Any:
        """One of a sequence, as it is."""
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p: float) -> bool:
        """True with probability ``p``."""
        return bool(self.rng.random() < p)

    def words(self) -> str:
        """A text of one to three pieces."""
        return " ".join(self.one(PIECES) for _ in range(int(self.rng.integers(1, 4))))

    def label(self) -> tuple[Any, float]:
        """A cell of a label between 0 and 1, and what it means."""
        cell, meant = self.one(LABELS)
        if self.kind == "csv" and isinstance(cell, bool):
            return str(int(cell)), meant
        if self.kind == "arrow" and not isinstance(cell, float):
            return (None if np.isnan(meant) else meant), meant
        return cell, meant

    def prompt(self, number: int) -> tuple[Any, list[dict[str, str]]]:
        """A cell, and the messages that it means; other numbers are other prompts, in any spelling."""
        content = f"q{number} {PIECES[number % len(PIECES)]}"
        asked = {"role": "user", "content": self.spelled(content)}
        listed = self.lists if self.kind == "arrow" else number % 3 == 0 or self.chance(0.2)
        if listed and number % 3 == 0:
            said = {"role": "assistant", "content": PIECES[number % 7]}
            messages = [{"role": "user", "content": "Hi"}, said, asked]
            return messages, messages
        if listed and self.kind != "arrow" and self.chance(0.3):
            return [{"from": "human", "value": asked["content"]}], [asked]
        return ([asked] if listed else asked["content"]), [asked]

    def spelled(self, text: str) -> str:
        """The text, or one that differs in white space and Unicode's form alone."""
        if self.chance(0.9):
            return text
        return unicodedata.normalize("NFD", text).replace(" ", "  ") + self.one(
            (" ", "\n", "\u00a0")
        )

    def response(self) -> tuple[Any, str]:
        """A cell, and the text that it means."""
        text = f"{self.words()} {self.rng.integers(6)}" if self.chance(0.7) else self.words()
        if self.kind == "arrow" or self.chance(0.7):
            return text, text
        if self.chance(0.2):
            return int(self.rng.integers(100)) if self.kind == "json" else "07", ""
        content: Any = text if self.chance(0.5) else [{"type": "text", "text": text}]
        message = {"role": "assistant", "content": content}
        return self.one((message, [message], [{"from": "gpt", "value": text}])), text

    def answer(self) -> tuple[Any, str]:
        """``response`` with what a whole number means."""
        cell, text = self.response()
        return cell, text or str(cell)

    def bad_text(self) -> Any:
        """A cell that is no text."""
        if self.kind == "csv":
            return self.one(BAD_TEXTS_OF_CSV)
        return None if self.kind == "arrow" else self.one(BAD_TEXTS)


def garble(draw: Draw, value: Any) -> Any:
    """The value with one thing somewhere inside of it replaced, left out or said twice."""
    if not isinstance(value, dict | list) or not value or draw.chance(0.2):
        return draw.one(JUNK)
    key = draw.one(list(value) if isinstance(value, dict) else range(len(value)))
    changed = dict(value) if isinstance(value, dict) else list(value)
    if draw.chance(0.15):
        del changed[key]
    elif draw.chance(0.1) and isinstance(changed, list):
        changed.append(changed[key])
    else:
        changed[key] = garble(draw, changed[key])
    return changed


def folded(messages: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    """What makes two prompts one: roles, and texts in Unicode's composed form with single spaces."""
    return tuple(
        (m["role"], " ".join(unicodedata.normalize("NFC", m["content"]).split())) for m in messages
    )
