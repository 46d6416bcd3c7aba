"""What a model said of a question, kept by the content of both, so that nothing is asked twice."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from math import isfinite
from pathlib import Path

from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.letters import Asked, Model

CHUNK = 256
"""Questions between two writes; what a fault or a user ends before the next one is written, too."""

PATIENCE = 60.0
"""Seconds to wait for another process that writes."""


def default_cache() -> Path:
    """Beside the Hugging Face cache: a question's content decides, not the project that asks it."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "mopo_pipeline" / "judged.sqlite"


def ask_once(model: Model, questions: Sequence[str], path: Path, description: str) -> list[Asked]:
    """What the model says of each question, from the cache where it was asked before.

    What is no number is not kept: a model that was repaired is asked again. What was said before a fault is.

    Raises:
        InputError: the cache is no such file, or there is no room for it; the model cannot be asked.
    """
    keys = [_key(model.identity, text) for text in questions]
    with _opened(path) as table:
        known = _known(table, keys)
        text_of = dict(zip(keys, questions, strict=True))
        new = sorted((k for k in text_of if k not in known), key=lambda k: -len(text_of[k]))
        for start in range(0, len(new), CHUNK):
            part = new[start : start + CHUNK]
            said: dict[str, Asked] = {}
            try:
                for i, one in model.ask(
                    [text_of[k] for k in part], f"{description} {start}/{len(new)}"
                ):
                    said[part[i]] = one
            except InputError as error:
                there = start + len(said)
                kept = f"; {there} of {len(new)} answers are kept in {path}: run again to go on"
                raise InputError(f"{error}{kept if there else ''}") from None
            finally:
                rows = [(k, *one) for k, one in said.items() if all(map(isfinite, one))]
                with table:
                    table.executemany("INSERT OR IGNORE INTO said VALUES (?, ?, ?)", rows)
            known |= said
    return [known[key] for key in keys]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = sqlite3.connect(path, timeout=PATIENCE)
    try:
        with table:
            table.execute(
                "CREATE TABLE IF NOT EXISTS said (key TEXT PRIMARY KEY, odds REAL, mass REAL)"
            )
        yield table
    except sqlite3.Error as error:
        passing = isinstance(error, sqlite3.OperationalError)
        remedy = (
            "make room for it and see that it can be written (what it holds stays)"
            if passing
            else "delete it"
        )
        raise InputError(
            f"the cache of a chat judge, {path}, cannot be used: {error}; {remedy}, or name another as `cache`"
        ) from error
    finally:
        table.close()


def _known(table: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Asked]:
    found = {}
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        marks = ",".join("?" * len(part))
        rows = table.execute(f"SELECT key, odds, mass FROM said WHERE key IN ({marks})", part)
        found.update({key: Asked(odds, mass) for key, odds, mass in rows})
    return found


def _key(identity: str, text: str) -> str:
    return sha256(f"{identity}\n{text}".encode()).hexdigest()
