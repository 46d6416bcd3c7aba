"""Labels and ratings in words and codes: what each means as a number, and what to do about those that nobody named."""

from collections.abc import Container
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.columns import is_missing, label
from mopo_pipeline.sources.raw import RANK_PREFIX
from mopo_pipeline.tables import SCORE_PREFIX

MOST_WORDS = 20
"""Different cells of a column whose words may be labels or ratings, at most."""

SHOWN = 6
"""Words that a message names."""


def valued(
    table: pd.DataFrame, names: tuple[str, ...], values: dict[str, float | None]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Labels and ratings of which words and codes have become numbers, and the objectives that had one.

    Args:
        table: cells as written, columns under the names they are read by.
        names: the objectives.
        values: what each word or code means; None: nothing. What is not among them stays as it is.
    """
    said, changed = [], {}
    meant: dict[str | None, float | None] = {_spelt(word): value for word, value in values.items()}
    for name in names if values else ():
        for column in (c for p in ("", SCORE_PREFIX, RANK_PREFIX) if (c := p + name) in table):
            cells = list(table[column])
            codes = [_code(cell, meant) for cell in cells]
            if not meant.keys().isdisjoint(codes):
                said.append(name)
                told = [meant.get(code, cell) for code, cell in zip(codes, cells, strict=True)]
                changed[column] = pd.Series(told, table.index, dtype=object)
    return table.assign(**changed), tuple(said)


def _code(cell: Any, meant: Container[str | None]) -> str | None:
    """A cell as its word is looked up; None of a missing one. Where no word is a truth value, it is the number that it stands for."""
    if is_missing(cell):
        return None
    word = _spelt(label(cell).strip())
    if isinstance(cell, bool | np.bool_) and word not in meant:
        return _spelt(str(int(cell)))
    return word


def _spelt(word: str) -> str:
    """A word in one spelling: of numbers the number, of truth values small letters.

    >>> _spelt("1"), _spelt("1.00"), _spelt("TRUE"), _spelt("Tie")
    ('1.0', '1.0', 'true', 'Tie')
    """
    with suppress(ValueError):
        return repr(float(word))
    return word.lower() if word.lower() in ("true", "false") else word


def worded(table: pd.DataFrame, column: str) -> str:
    """What to do where a column holds words, few enough to be labels or ratings; the end of a message."""
    words = list(dict.fromkeys(cell for cell in table[column] if isinstance(cell, str)))
    if not 0 < len(words) <= MOST_WORDS:
        return ""
    told = ", ".join(repr(word[:40]) for word in words[:SHOWN]) + ", ..." * (len(words) > SHOWN)
    return f". Or say in ingest.values what each word means, {{word: number}}; here they are {told}"
