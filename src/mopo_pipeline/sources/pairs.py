"""Labelled pairs of texts: read from a table, and taken apart into responses and judgements."""

import logging
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from mopo_pipeline.alike import (
    SPREAD,
    codes_of,
    first_equal,
    first_of_each,
    said_alike,
    text_hashes,
)
from mopo_pipeline.columns import (
    label_column,
    nearest,
    number_column,
    place,
    text,
    text_column,
)
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ENDED
from mopo_pipeline.paged import CHUNK, numbered, paged_texts, taken, taken_rows
from mopo_pipeline.sources.messages import response_text, stored_prompt
from mopo_pipeline.sources.prompts import same_prompts
from mopo_pipeline.sources.raw import PROMPT_COLUMNS, RawTables, Rows
from mopo_pipeline.sources.words import worded
from mopo_pipeline.tables import refuse_contradictions

log = logging.getLogger(__name__)

SIDES = ("response_a", "response_b")
PAIR_FACTS = (*PROMPT_COLUMNS, "weight", "annotator")
"""What a file may say of a pair beside its labels."""

LARGEST_STRENGTH = 10.0
"""Above this a label without a sign is taken for a share of 100."""


def pair_rows(
    table: pd.DataFrame, names: tuple[str, ...], where: str, strongest: float | None = None
) -> Rows:
    """Read ``prompt``, ``response_a``, ``response_b`` and a column for each objective that has one.

    Args:
        table: cells as written; prompts and responses are texts or chat messages.
        names: the objectives.
        where: the file.
        strongest: labels run from minus this (b wins) to this (a wins); None: from 0 to 1.

    Raises:
        InputError: a missing column, a cell that is no text or number, by place.
    """
    for column in ("prompt", *SIDES):
        if column not in table:
            raise InputError(
                f"{where}: missing column {column!r}{nearest(column, table.columns)}; found "
                f"{sorted(map(str, table.columns))}"
            )
    pairs = pd.DataFrame({"prompt": text_column(table, "prompt", where, stored_prompt)})
    for side in SIDES:
        pairs[side] = text_column(table, side, where, response_text, keeps_text=True)
    for column in PROMPT_COLUMNS:
        if column in table:
            pairs[column] = text_column(table, column, where, text, keeps_text=True)
    for name in names:
        if name in table:
            pairs[name] = labels(table, name, where, strongest)
    if "weight" in table:
        pairs["weight"] = number_column(table, "weight", where)
    if ENDED in table:
        log.warning(
            "%s: column %r is not read of pairs, whose answers are two: rated answers can say it",
            where,
            ENDED,
        )
    if "annotator" in table:
        pairs["annotator"] = label_column(table["annotator"])
    return Rows("pairs", pairs, where, len(table))


def labels(
    table: pd.DataFrame, name: str, where: str, strongest: float | None
) -> NDArray[np.float64]:
    """Labels (n,) in [0, 1], NaN missing, of a column of labels or of signed strengths; warns where signs seem to be none.

    Raises:
        InputError: a label beyond the ends of its scale, by place.
    """
    try:
        values = number_column(table, name, where)
    except InputError as error:
        raise InputError(f"{error}{_named_by_text(table, name)}{worded(table, name)}") from None
    low, high = (0.0, 1.0) if strongest is None else (-strongest, strongest)
    unsigned = len(np.unique(values[~np.isnan(values)])) > 1 or (values == 0).any()
    if strongest is not None and unsigned and not (values < 0).any():
        log.warning(
            "%s: column %s has labels of 0 or more and none below: with ingest.strongest 0 is a tie and a negative one says "
            "that b wins; where 0 says so, leave ingest.strongest empty, and scales from 1 to N are not signed",
            where,
            name,
        )
    beyond = (values < low) | (values > high)
    if beyond.any():
        row = int(beyond.argmax())
        signed = "" if strongest else _scale(values)
        raise InputError(
            f"{where}: {place(table, row)}, column {name}: label {values[row]:g} lies outside "
            f"[{low:g}, {high:g}] ({high:g} a wins, {low:g} b wins, {(low + high) / 2:g} tie){signed}"
        )
    return (values - low) / (high - low)


def _named_by_text(table: pd.DataFrame, name: str) -> str:
    """What to do where winners are named by what they say."""
    sides = zip(*(table[side] for side in SIDES if side in table), strict=True)
    said = any(
        isinstance(cell, str) and cell in texts
        for cell, texts in zip(table[name], sides, strict=False)
    )
    return (
        ". Winners are named by their texts or ids: write 1 or 0 in place of them" if said else ""
    )


def _scale(values: NDArray[np.float64]) -> str:
    """What to do about labels (n,) of another scale, by what they are."""
    known = set(values[~np.isnan(values)].tolist())
    if known <= {1.0, 2.0}:
        return "; where 2 says that the second wins, write 0 for it"
    if known <= {0.0, 1.0, 2.0}:
        return "; where 2 says that they tie, write 0.5 for it"
    if {-1.0, 0.0} <= known <= {-1.0, 0.0, 1.0}:
        return (
            "; where -1 says that nobody knows, leave it empty; where it says that b wins and 0 that they tie, set "
            "ingest.strongest to 1"
        )
    if known >= {0.0, 100.0} or (min(known) >= 0.0 and max(known) > LARGEST_STRENGTH):
        return "; shares of 100 are divided by 100"
    if min(known) >= 0.0:
        return "; a scale from 1 (b wins) to N (a wins) is written as (label - 1)/(N - 1); ingest.strongest is for signed labels"
    return "; for labels from -N (b wins) to N set ingest.strongest to N"


def split_pairs(rows: Rows, names: tuple[str, ...]) -> RawTables:
    """Responses and judgements of pairs of texts.

    Equal texts to one prompt are one response; a pair of equal texts says nothing and is dropped.

    Raises:
        InputError: one prompt with two splits or groups, no pair of different responses.
    """
    pairs, where = rows.table, rows.where
    prompts, merged = same_prompts(pairs["prompt"])
    told = [column for column in PROMPT_COLUMNS if column in pairs]
    for column in told:
        refuse_contradictions(pairs, prompts, pairs[column], column, where)
    equal = (pairs[SIDES[0]] == pairs[SIDES[1]]).to_numpy()
    dropped = {"pairs of equal responses": int(equal.sum())} | rows.dropped
    if equal.all():
        raise InputError(f"{where}: no pair of different responses ({len(pairs)} equal ones)")
    used = np.flatnonzero(~equal)
    prompt_of = codes_of(first_equal(said_alike(prompts)[used]))
    answer_of = _answers(pairs.loc[:, list(SIDES)], prompt_of, used)
    first = np.flatnonzero(first_of_each(answer_of))
    row_of = used[first // 2]
    responses = pd.DataFrame(
        {
            "prompt_id": numbered("p", prompt_of[first // 2]),
            "response_id": numbered("r", np.arange(len(first))),
            "prompt": taken(prompts, row_of),
            "response": _between(pairs[SIDES[0]], pairs[SIDES[1]], 2 * row_of + first % 2),
            **{column: taken(pairs[column], row_of) for column in told},
        },
        index=pairs.index[row_of],
    )
    given = [c for c in (*names, "weight", "annotator") if c in pairs]
    kept = pairs[given] if len(used) == len(pairs) else taken_rows(pairs[given], used)
    judgements = kept.assign(
        prompt_id=numbered("p", prompt_of),
        response_a=numbered("r", answer_of[::2]),
        response_b=numbered("r", answer_of[1::2]),
    )
    return RawTables(
        responses,
        judgements,
        where,
        where,
        read={"pairs": rows.read},
        dropped={"pairs": dropped},
        merged={"other spellings of a prompt": merged} | rows.merged,
    )


def _answers(
    sides: pd.DataFrame, prompt_of: NDArray[np.intp], used: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Codes (2 m,) of the answers a0, b0, a1, b1, ... of the rows ``used`` (m,), whose prompts have the codes (m,)."""
    hashes = np.empty((len(used), 2), dtype=np.uint64)
    for column, side in enumerate(SIDES):
        hashes[:, column] = text_hashes(sides[side])[used].view(np.uint64)
    hashes += (prompt_of.astype(np.uint64) * SPREAD)[:, None]
    return codes_of(first_equal(hashes.ravel().view(np.int64)))


def _between(a: pd.Series, b: pd.Series, chosen: NDArray[np.intp]) -> ExtensionArray:
    """Of the texts a0, b0, a1, b1, ... those ``chosen``, positions (m,) that ascend, a part of the rows at a time."""

    def parts() -> Iterator[pd.Series]:
        starts = np.arange(0, len(a) + CHUNK, CHUNK)
        for start, (low, high) in zip(
            starts, pairwise(np.searchsorted(chosen, 2 * starts)), strict=False
        ):
            one, other = (side.iloc[start : start + CHUNK] for side in (a, b))
            use = chosen[low:high] - 2 * start
            both = pd.concat([one, other], ignore_index=True)
            yield both.take(use // 2 + use % 2 * len(one))

    return paged_texts(parts())
