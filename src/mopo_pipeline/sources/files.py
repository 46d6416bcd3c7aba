"""A user's own data: CSV, JSON, JSON lines or parquet, rated responses or pairwise labels."""

from pathlib import Path

import pandas as pd

from mopo_pipeline.columns import convert_column, number_column, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.messages import response_text, stored_prompt
from mopo_pipeline.sources.prompts import same_prompts
from mopo_pipeline.sources.raw import RawTables, no_judgements
from mopo_pipeline.sources.reading import read_table
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX, refuse_contradictions

TEXT_COLUMNS = ("prompt", "response_a", "response_b")
PROMPT_COLUMNS = ("split", "group")
"""What a file may say of a prompt: its split, and the group that splits must not divide."""


def read_files(path: Path, judgements_path: Path | None, names: tuple[str, ...]) -> RawTables:
    """Read responses and, where there are any, pairwise labels.

    Three layouts are understood: rated responses (``prompt``, ``response`` and a column per
    objective), responses with labels of pairs of ids in a second file, and one file of labelled
    pairs of texts (``prompt``, ``response_a``, ``response_b`` and a column per objective). A prompt
    is plain text or chat messages, a response plain text or one message of the assistant. Ids are
    text; they are made where they are absent and nothing refers to them. A column ``split`` or
    ``group`` belongs to the prompt.

    Args:
        path: responses, or labelled pairs of texts.
        judgements_path: labels of pairs of response ids, or None.
        names: the objectives; a column of this name, or with the prefix ``score_``, rates responses.

    Raises:
        InputError: a missing or unreadable file, a missing column, a cell that is no text or number;
            with line and column.
    """
    table, where = read_table(path), str(path)
    if "response" not in table and {"response_a", "response_b"} <= set(table.columns):
        if judgements_path is not None:
            raise InputError(
                f"{where}: labelled pairs of texts bring their labels; leave ingest.judgements_path empty"
            )
        return split_pairs(table, where)
    _require_layout(table, where)
    responses = _responses(table, where)
    for name in names:
        rated = [column for column in (name, SCORE_PREFIX + name) if column in table]
        if len(rated) == 2:
            raise InputError(f"{where}: columns {rated} both rate {name!r}; drop one")
        if not rated and judgements_path is None:
            raise InputError(
                f"{where}: no column for objective {name!r}; found {sorted(table.columns)}. Rename the "
                "column or the entry in task.objectives, or give ingest.judgements_path"
            )
        for column in rated:
            responses[SCORE_PREFIX + name] = number_column(table, column, where)
    if judgements_path is None:
        return RawTables(responses, no_judgements(names), where, where)
    for column in ("prompt_id", "response_id"):
        if column not in table:
            raise InputError(
                f"{where}: missing column {column!r}, which {judgements_path} refers to"
            )
    return RawTables(responses, _judgements(judgements_path), where, str(judgements_path))


def split_pairs(pairs: pd.DataFrame, where: str) -> RawTables:
    """Responses and judgements of a table of labelled pairs of texts.

    Equal texts to one prompt are one response; a pair of equal texts says nothing and is dropped.

    Raises:
        InputError: a missing column or text, one prompt with two splits or groups.
    """
    absent = [c for c in TEXT_COLUMNS if c not in pairs]
    if absent:
        raise InputError(f"{where}: missing column {absent[0]!r}; found {sorted(pairs.columns)}")
    read = (stored_prompt, response_text, response_text)
    texts = {
        column: convert_column(pairs, column, where, convert)
        for column, convert in zip(TEXT_COLUMNS, read, strict=True)
    }
    pairs = pairs.drop(columns="prompt_id", errors="ignore").assign(**texts)
    pairs["prompt"], merged = same_prompts(pairs["prompt"])
    told = [column for column in PROMPT_COLUMNS if column in pairs]
    for column in told:
        pairs[column] = convert_column(pairs, column, where, text)
        refuse_contradictions(pairs, pairs["prompt"], pairs[column], column, where)
    equal = (pairs["response_a"] == pairs["response_b"]).to_numpy()
    pairs = pairs.loc[~equal]
    if pairs.empty:
        raise InputError(f"{where}: no pair of different responses ({int(equal.sum())} equal ones)")
    sides = [
        pairs[["prompt", side, *told]].rename(columns={side: "response"})
        for side in ("response_a", "response_b")
    ]
    keys = ["prompt", "response"]
    responses = pd.concat(sides).sort_index(kind="stable").drop_duplicates(keys)
    responses.insert(0, "prompt_id", _ids(responses["prompt"], "p"))
    responses.insert(1, "response_id", [f"r{i}" for i in range(len(responses))])
    found = responses.set_index(keys)[["prompt_id", "response_id"]]
    judgements = pairs.drop(columns=[*TEXT_COLUMNS, *told])
    for side, table in zip(("response_a", "response_b"), sides, strict=True):
        ids = found.loc[pd.MultiIndex.from_frame(table[keys])]
        judgements[side] = ids["response_id"].to_numpy()
    judgements["prompt_id"] = ids["prompt_id"].to_numpy()
    return RawTables(
        responses,
        judgements,
        where,
        where,
        dropped={"pairs of equal responses": int(equal.sum())},
        merged={"other spellings of a prompt": merged},
    )


def _require_layout(table: pd.DataFrame, where: str) -> None:
    found = sorted(map(str, table.columns))
    if {"chosen", "rejected"} <= set(table.columns):
        raise InputError(
            f"{where}: chosen and rejected name one objective: set ingest.source to hh_rlhf, or rename them "
            "response_a and response_b and add a column per objective that is 1 where a wins"
        )
    if {"conversations", "messages"} & set(table.columns):
        raise InputError(
            f"{where}: whole conversations, found {found}: put the messages before the answer into the "
            "column prompt, the answer into response"
        )
    for column in ("prompt", "response"):
        if column not in table:
            raise InputError(
                f"{where}: missing column {column!r}; found {found}. Responses need prompt and response; "
                "labelled pairs need prompt, response_a and response_b"
            )


def _responses(table: pd.DataFrame, where: str) -> pd.DataFrame:
    responses = pd.DataFrame(index=table.index)
    responses["prompt"] = convert_column(table, "prompt", where, stored_prompt)
    responses["response"] = convert_column(table, "response", where, response_text)
    made = {
        "prompt_id": _ids(responses["prompt"], "p"),
        "response_id": [f"r{i}" for i in range(len(table))],
    }
    for column, ids in made.items():
        given = column in table
        responses[column] = convert_column(table, column, where, text) if given else ids
    for column in PROMPT_COLUMNS:
        if column in table:
            responses[column] = table[column]
    return responses


def _judgements(path: Path) -> pd.DataFrame:
    judgements = read_table(path)
    for column in PAIR_COLUMNS:
        if column in judgements:
            judgements[column] = convert_column(judgements, column, str(path), text)
    return judgements


def _ids(keys: pd.Series, prefix: str) -> list[str]:
    return [f"{prefix}{code}" for code in pd.factorize(keys)[0]]
