"""Several completions in one row: ``completions: [{text, and a score or rank per objective}]``."""

import json
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.columns import is_missing, number, place
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ENDED
from mopo_pipeline.sources.rated import response_rows
from mopo_pipeline.sources.raw import Rows
from mopo_pipeline.tables import SCORE_PREFIX

TEXTS = ("text", "response", "completion", "content")
"""Keys a completion's text may stand under."""

ROW_FACTS = ("prompt", "prompt_id", "split", "group", "annotator", "weight", ENDED)
"""What a row may say of all its completions."""


def completion_rows(table: pd.DataFrame, names: tuple[str, ...], where: str) -> Rows:
    """Read one response of every completion.

    A rating of an objective is the completion's ``<objective>``, ``score_<objective>`` or
    ``scores[<objective>]``, with one objective also ``score``. A rank (1 is best) stands under ``rank`` in
    the same ways and counts as minus itself: ratings are compared within a prompt alone. A rating of null
    is a missing label. A completion, or its row, may say whether it was ``ended``.

    Args:
        table: ``prompt``, ``completions``, perhaps prompt_id, split, group and annotator.
        names: the objectives.
        where: the file.

    Raises:
        InputError: completions that are no list of objects with a text, no number where a rating
            stands, an objective that no completion rates.
    """
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    kind = table.index.name
    kept = [column for column in ROW_FACTS if column in table]
    facts = table[kept].to_dict("records")
    for row, cell in enumerate(table["completions"]):
        at, completions = place(table, row), _listed(cell)
        if not isinstance(completions, list | tuple | np.ndarray) or len(completions) == 0:
            raise InputError(
                f"{where}: {at}, column completions: {str(completions)[:40]!r} is no list of completions"
            )
        for number_, completion in enumerate(completions, start=1):
            try:
                read = _completion(completion, names)
            except InputError as error:
                raise InputError(f"{where}: {at}, completion {number_}: {error}") from None
            rows.append({str(k): v for k, v in facts[row].items()} | read)
            places.append(f"{at}, completion {number_}")
    exploded = pd.DataFrame(rows, dtype=object, index=pd.Index(places, name="place"))
    if unrated := [name for name in names if exploded[name].isna().all()]:
        raise InputError(
            f"{where}: no completion has a rating of {unrated[0]!r}; found "
            f"{_keys(_listed(table['completions'].iloc[0]))} in {kind} {table.index[0]}"
        )
    return response_rows(exploded, names, where)


def _listed(completions: Any) -> Any:
    """A list that stands in a cell as JSON, as all lists of a CSV file do; any other cell as it is."""
    if not isinstance(completions, str):
        return completions
    try:
        return json.loads(completions)
    except (ValueError, RecursionError):
        return completions


def _completion(completion: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(completion, dict):
        raise InputError(f"{str(completion)[:40]!r} is no object with a text and ratings")
    texts = [key for key in TEXTS if not is_missing(completion.get(key))]
    if len(texts) != 1:
        raise InputError(f"one of {', '.join(TEXTS)} must hold the text, found {texts}")
    ratings = {name: _rating(completion, name, names) for name in names}
    ended = {ENDED: completion[ENDED]} if ENDED in completion else {}
    return {"response": completion[texts[0]]} | ended | ratings


def _rating(completion: dict[str, Any], name: str, names: tuple[str, ...]) -> float:
    alone = len(names) == 1
    found = []
    for keys, key, sign in (
        ((name, SCORE_PREFIX + name), "score", 1.0),
        ((f"rank_{name}",), "rank", -1.0),
    ):
        nested = completion.get(f"{key}s")
        values = [completion.get(k) for k in keys]
        values += [nested.get(name)] if isinstance(nested, dict) else []
        values += [completion.get(key)] if alone else []
        found += [sign * number(value) for value in values if not is_missing(value)]
    if len(found) > 1:
        raise InputError(f"{name!r} is rated {len(found)} times; leave one rating")
    return found[0] if found else float("nan")


def _keys(completions: Any) -> list[str]:
    return sorted(str(key) for key in completions[0])
