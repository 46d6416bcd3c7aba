"""Responses with ratings: read from a table, one row per answer or per answer and annotator."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.columns import (
    convert_column,
    label_column,
    nearest,
    number_column,
    place,
    text,
    text_column,
    truth,
)
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ENDED
from mopo_pipeline.preferences.agreement import krippendorff_alpha
from mopo_pipeline.sources.counting import tell_other_spellings
from mopo_pipeline.sources.messages import response_text, stored_prompt
from mopo_pipeline.sources.prompts import same_prompts
from mopo_pipeline.sources.raw import PROMPT_COLUMNS, RANK_PREFIX, RawTables, Rows, no_judgements
from mopo_pipeline.sources.words import worded
from mopo_pipeline.tables import SCORE_PREFIX, refuse_contradictions

log = logging.getLogger(__name__)

IDS = ("prompt_id", "response_id")
PLACEHOLDERS = (-1.0, -9.0, -99.0, -999.0, 99.0, 999.0, 9999.0)
"""Numbers that programs write where there is no rating."""

FAR = 5.0
"""Times the largest other rating from which such a number is taken for none."""


def response_rows(table: pd.DataFrame, names: tuple[str, ...], where: str) -> Rows:
    """Read ``prompt``, ``response``, ids where given and a rating for each objective that has a column.

    Args:
        table: cells as written; a column named as an objective, or with ``score_`` before it, rates; with ``rank_``
            before it the lowest is best.
        names: the objectives.
        where: the file.

    Raises:
        InputError: a missing column, a cell that is no text or number, two ratings of one objective.
    """
    for column in ("prompt", "response"):
        if column not in table:
            raise InputError(
                f"{where}: missing column {column!r}{nearest(column, table.columns)}; found "
                f"{sorted(map(str, table.columns))}. Responses need prompt and response; labelled pairs need "
                "prompt, response_a and response_b; other names are mapped by ingest.columns"
            )
    rows = pd.DataFrame(
        {
            "prompt": text_column(table, "prompt", where, stored_prompt),
            "response": text_column(table, "response", where, response_text, keeps_text=True),
        }
    )
    for column in IDS:
        if column in table:
            rows[column] = text_column(table, column, where, text, keeps_text=True)
    for column in PROMPT_COLUMNS:
        if column in table:
            rows[column] = table[column]
    if ENDED in table:
        rows[ENDED] = convert_column(table, ENDED, where, _ended)
    if "weight" in table:
        rows["weight"] = label_column(table["weight"])
    if "annotator" in table:
        rows["annotator"] = convert_column(table, "annotator", where, text)
    for name in names:
        rated = [p + name for p in ("", SCORE_PREFIX, RANK_PREFIX) if p + name in table]
        if len(rated) > 1:
            raise InputError(f"{where}: columns {rated} both rate {name!r}; drop one")
        for column in rated:
            sign = -1.0 if column == RANK_PREFIX + name else 1.0
            try:
                values = number_column(table, column, where)
            except InputError as error:
                raise InputError(f"{error}{worded(table, column)}") from None
            _tell_placeholder(values, column, where)
            rows[SCORE_PREFIX + name] = sign * values
    return Rows("responses", rows, where, len(table))


def _tell_placeholder(values: NDArray[np.float64], column: str, where: str) -> None:
    """Warn of a number that stands for a missing rating, as far as can be seen: alone beyond all other ratings (n,)."""
    for stands_for in PLACEHOLDERS:
        others = values[(values != stands_for) & ~np.isnan(values)]
        count = int((values == stands_for).sum())
        if not count or not len(others):
            continue
        far = abs(stands_for) > FAR * np.abs(others).max()
        if far or (stands_for == -1.0 and others.min() >= 0.0):
            log.warning(
                "%s: %d ratings in column %s are %g, and all others lie from %g to %g: where it says that there is none, "
                "leave it empty",
                where,
                count,
                column,
                stands_for,
                others.min(),
                others.max(),
            )


def _ended(value: Any) -> bool:
    """Whether who wrote an answer ended it; all did of whom nothing is said."""
    try:
        return truth(value) is not False
    except InputError as error:
        raise InputError(
            f"{error}: it says whether the answer was ended, and not cut at a length; name the column otherwise if it is meant "
            "so"
        ) from None


def rated_responses(rows: Rows, names: tuple[str, ...]) -> RawTables:
    """Responses of rows, each answer to a prompt once: by its id where there is one, else by its text.

    Ratings of one answer by several annotators (or said twice) are averaged; how far annotators agree
    is told per objective.

    Raises:
        InputError: ratings of different weight, of which no comparison could make use; ratings of one id by several
            annotators that are of different texts.
    """
    table, where = rows.table, rows.where
    _refuse_weights(table, where)
    prompts, spellings = same_prompts(table["prompt"])
    dropped, merged = dict(rows.dropped), dict(rows.merged)
    facts: dict[str, object] = {}
    table = table.assign(prompt=prompts)
    named = "response_id" in table
    if not named or "annotator" in table:
        answer_of = _answers_of(table, prompts, where)
        scores = [c for c in (SCORE_PREFIX + name for name in names) if c in table]
        if "annotator" in table:
            tell_other_spellings(table["annotator"], "annotators", where)
            facts["annotator_agreement"] = _agreement(table, answer_of, scores)
        table, repeats, rerated = _averaged(table, answer_of, scores)
        dropped["repeated answers to one prompt"] = repeats
        dropped["further ratings of an answer, averaged with its first"] = rerated
    rated = [SCORE_PREFIX + name for name in names if SCORE_PREFIX + name in table]
    if unrated := int(table[rated].isna().all(axis=1).sum()):
        log.warning(
            "%s: %d of %d answers have no rating; they are kept, and compared with none",
            where,
            unrated,
            len(table),
        )
    facts["responses_without_a_rating"] = unrated
    if not named:
        table["response_id"] = [f"r{i}" for i in range(len(table))]
        merged["other spellings of a prompt"] = spellings
    if "prompt_id" not in table:
        table["prompt_id"] = [f"p{code}" for code in pd.factorize(table["prompt"])[0]]
    return RawTables(
        table.drop(columns=["annotator", "weight"], errors="ignore"),
        no_judgements(names),
        where,
        where,
        read={"responses": rows.read},
        dropped={"responses": dropped},
        merged=merged,
        facts=facts,
    )


def _refuse_weights(table: pd.DataFrame, where: str) -> None:
    """Refuse a weight other than that of the first row: ratings are compared before anything is weighed."""
    if "weight" not in table:
        return
    weights = table["weight"].replace({"": "1", "1.0": "1"}).to_numpy()
    differs = weights != weights[0]
    if differs.any():
        row = int(differs.argmax())
        raise InputError(
            f"{where}: {place(table, row)}, column weight: {weights[row]}, but ratings have no weight of their own: leave "
            "the column out, or give labelled pairs, which have one"
        )


def _answers_of(table: pd.DataFrame, prompts: pd.Series, where: str) -> NDArray[np.intp]:
    """Codes (n,) of what is rated: one id, or one text to one prompt; ``prompts`` (n,) are in one spelling."""
    if "response_id" in table:
        for column, values in (("prompt", prompts), ("response", table["response"])):
            refuse_contradictions(table, table["response_id"], values, column, where)
        return pd.factorize(table["response_id"])[0]
    prompt_of, text_of = pd.factorize(prompts)[0], pd.factorize(table["response"])[0]
    return pd.factorize(prompt_of * (int(text_of.max()) + 1) + text_of)[0]


def _averaged(
    table: pd.DataFrame, answer_of: NDArray[np.intp], scores: list[str]
) -> tuple[pd.DataFrame, int, int]:
    """The first row of each answer with the mean of its ratings; ``answer_of`` (n,) are their codes.

    Returns:
        The rows, how many others say the same as their first, and how many rate anew.
    """
    later = pd.Series(answer_of).duplicated().to_numpy()
    if not later.any():
        return table, 0, 0
    first = np.flatnonzero(~later)
    ratings = table[scores].to_numpy(dtype=np.float64).reshape(len(table), len(scores))
    before = ratings[first[answer_of]]
    same = ((ratings == before) | (np.isnan(ratings) & np.isnan(before))).all(axis=1)
    kept = table.iloc[first].copy()
    kept[scores] = pd.DataFrame(ratings).groupby(answer_of).mean().to_numpy()
    return kept, int((later & same).sum()), int((later & ~same).sum())


def _agreement(
    table: pd.DataFrame, answer_of: NDArray[np.intp], scores: list[str]
) -> dict[str, dict[str, float] | None]:
    """Krippendorff's alpha of the ratings of each objective, a rater's first word on an answer alone.

    ``answer_of`` (n,) are codes of what is rated.
    """
    once = ~pd.DataFrame({"u": answer_of, "a": table["annotator"].to_numpy()}).duplicated()
    units = answer_of[once.to_numpy()]
    told = table.loc[once.to_numpy()]
    return {
        column.removeprefix(SCORE_PREFIX): krippendorff_alpha(
            units, told[column].to_numpy(dtype=np.float64)
        )
        for column in scores
    }
