"""Chosen and rejected answers: TRL's layouts and HH's transcripts, read as labelled pairs."""

from collections import Counter

import numpy as np
import pandas as pd

from mopo_pipeline.columns import (
    is_missing,
    label_column,
    nearest,
    number_column,
    text,
    text_column,
)
from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.dialogues import last_answer, prompt_messages
from mopo_pipeline.sources.pairs import PAIR_FACTS, SIDES, labels
from mopo_pipeline.sources.raw import PROMPT_COLUMNS, Rows

CHOSEN = ("chosen", "rejected")

MOST_REASONS, OTHER_REASONS = 8, "rows with other faults"
"""Reasons that are told each; what a row's own words are part of may differ from row to row."""


def chosen_rows(
    table: pd.DataFrame,
    names: tuple[str, ...],
    where: str,
    chosen: str | None = None,
    strongest: float | None = None,
) -> Rows:
    """Read ``chosen`` and ``rejected``, with ``prompt`` or with the messages before the last answer in both.

    A column named as an objective labels the pair on it, 1 where the chosen answer wins there too; the
    objective that the choice itself was made on has no column. The chosen answer becomes response_a of
    every other pair, so that the winner is not always first. A row that is no such dialogue is dropped.

    Args:
        table: cells as written: texts, transcripts with ``Human:`` and ``Assistant:``, chat messages.
        names: the objectives.
        where: the file.
        chosen: the objective of the choice; None: the task's only one, where it has no column.
        strongest: as for pairs.

    Raises:
        InputError: an objective without labels, a label that is no number, no row that can be used.
    """
    of = _choice(table, names, where, chosen)
    facts: dict[str, object] = {
        name: labels(table, name, where, strongest) for name in names if name in table
    }
    if of is not None:
        facts[of] = np.ones(len(table))
    for column in PAIR_FACTS:
        if column in table and column in PROMPT_COLUMNS:
            facts[column] = text_column(table, column, where, text, keeps_text=True).array
        elif column in table and column == "weight":
            facts[column] = number_column(table, column, where)
        elif column in table:
            facts[column] = label_column(table[column]).array
    texts, kept, dropped = _dialogues(table)
    if not texts:
        first = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common(3))
        raise InputError(f"{where}: none of the {len(table)} rows can be used: {first}")
    pairs = pd.DataFrame(texts, columns=["prompt", *SIDES], dtype="str", index=table.index[kept])
    for column, values in facts.items():
        pairs[column] = pd.Series(values).array.take(kept)
    labelled = [name for name in names if name in pairs]
    return Rows("pairs", _balanced(pairs, labelled), where, len(table), dict(dropped))


def _choice(
    table: pd.DataFrame, names: tuple[str, ...], where: str, chosen: str | None
) -> str | None:
    if chosen is None:
        if len(names) == 1 and names[0] not in table:
            return names[0]
        if absent := [name for name in names if name not in table]:
            raise InputError(
                f"{where}: chosen and rejected say which answer won, not on what, and there is no column "
                f"for {absent[0]!r}{nearest(absent[0], table.columns)}: set ingest.chosen to the objective "
                "of the choice, and add a column for each other one, 1 where the chosen answer wins"
            )
        return None
    if chosen not in names:
        raise InputError(
            f"ingest.chosen is {chosen!r}, no objective{nearest(chosen, names)}; there are {list(names)}"
        )
    if chosen in table:
        raise InputError(
            f"{where}: ingest.chosen is {chosen!r}, but a column of this name labels it too; drop one"
        )
    return chosen


def _dialogues(
    table: pd.DataFrame,
) -> tuple[list[tuple[str, str, str]], list[int], Counter[str]]:
    """Prompt, chosen and rejected answer of every row that has them, their positions, reasons of the rest."""
    texts, kept, dropped = [], [], Counter[str]()
    prompts = table["prompt"] if "prompt" in table else [None] * len(table)
    cells = zip(prompts, *(table[side] for side in CHOSEN), strict=True)
    for row, (given, better, worse) in enumerate(cells):
        try:
            before = [] if is_missing(given) else prompt_messages(given)
            prompt, first = last_answer(better, before)
            other, second = last_answer(worse, before)
        except InputError as error:
            reason = f"rows with {error}"
            told = reason in dropped or len(dropped) < MOST_REASONS
            dropped[reason if told else OTHER_REASONS] += 1
            continue
        if prompt != other:
            dropped["rows whose chosen and rejected answer different prompts"] += 1
            continue
        texts.append((prompt, first, second))
        kept.append(row)
    return texts, kept, dropped


def _balanced(pairs: pd.DataFrame, labelled: list[str]) -> pd.DataFrame:
    """Swap the sides of every other row."""
    swap = np.arange(len(pairs)) % 2 == 1
    a, b = (pairs[side] for side in SIDES)
    swapped = {SIDES[0]: a.where(~swap, b), SIDES[1]: b.where(~swap, a)}
    turned = {name: np.where(swap, 1.0 - pairs[name], pairs[name]) for name in labelled}
    return pairs.assign(**swapped, **turned)
