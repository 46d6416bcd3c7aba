"""Labels and ratings in words and codes: what each means as a number, and what to do about those that nobody named."""

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
    for name in names if values else ():
        for column in (c for p in ("", SCORE_PREFIX, RANK_PREFIX) if (c := p + name) in table):
            words = [None if is_missing(cell) else label(cell).strip() for cell in table[column]]
            if not values.keys().isdisjoint(words):
                said.append(name)
                cells = zip(words, table[column], strict=True)
                told = [cell if word is None else values.get(word, cell) for word, cell in cells]
                changed[column] = pd.Series(told, table.index, dtype=object)
    return table.assign(**changed), tuple(said)


def worded(table: pd.DataFrame, column: str) -> str:
    """What to do where a column holds words, few enough to be labels or ratings; the end of a message."""
    words = list(dict.fromkeys(cell for cell in table[column] if isinstance(cell, str)))
    if not 0 < len(words) <= MOST_WORDS:
        return ""
    told = ", ".join(repr(word[:40]) for word in words[:SHOWN]) + ", ..." * (len(words) > SHOWN)
    return f". Or say in ingest.values what each word means, {{word: number}}; here they are {told}"
