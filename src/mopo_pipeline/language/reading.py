"""Texts longer than who judges them reads: how many there are, and what is told of them."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.language.lengths import MAX_CUT
from mopo_pipeline.mopo import Finding

Reads = Callable[[list[str], list[str]], NDArray[np.bool_]]
"""Says of stored prompts and responses which responses (n,) are read in part."""

Counts = dict[str, dict[str, int]]
"""By the texts' kind, how many different ones there are, ``texts``, and how many are read ``in_part``."""

KINDS = {
    "labelled": "answers",
    "train": "training answers",
    "validation": "validation answers",
    "test": "test answers",
    "answers": "models' answers",
}
"""What texts are called: what a judge gave its labels to, a split of the data, what the models answer in the evaluation."""


def count_read_in_part(reads: Reads, met: Mapping[str, pd.DataFrame]) -> Counts:
    """Counts of the texts that are met: tables with stored prompt and response by kind; an empty one is left out."""
    found = {}
    for kind, table in met.items():
        if len(table):
            texts = table[["prompt", "response"]].drop_duplicates()
            cut = reads(texts["prompt"].tolist(), texts["response"].tolist())
            found[kind] = {"texts": len(texts), "in_part": int(np.sum(cut))}
    return found


def told_in_part(reader: str, counts: Counts | None) -> list[Finding]:
    """What to say of a reader: nothing where it reads every text whole, or does not say; the share is that of the kind with most."""
    parts = {where: n for where, n in (counts or {}).items() if n["in_part"]}
    if not parts:
        return []
    told = (f"{n['in_part']} of {n['texts']} {KINDS[where]}" for where, n in parts.items())
    share = max(n["in_part"] / n["texts"] for n in parts.values())
    return [
        Finding(
            f"texts read in part: {reader}",
            share,
            MAX_CUT,
            f"{', '.join(told)} are longer than it reads, so its word on them is of a part: name another that reads more, let "
            "it read more, or drop the longest",
            "warning" if share > MAX_CUT else "info",
        )
    ]
