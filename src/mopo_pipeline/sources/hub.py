"""Published preference data by hub id, or local files of the same schema."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from mopo_pipeline.columns import is_missing, number, place, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams, PartParams
from mopo_pipeline.sources.arrow import read_dataset
from mopo_pipeline.sources.chosen import chosen_rows
from mopo_pipeline.sources.dialogues import marked_prompt
from mopo_pipeline.sources.pairs import PAIR_FACTS, pair_rows, split_pairs
from mopo_pipeline.sources.parts import joined, parts_of, renamed, weighted
from mopo_pipeline.sources.rated import rated_responses, response_rows
from mopo_pipeline.sources.raw import RawTables, Rows
from mopo_pipeline.sources.reading import frame, read_table

log = logging.getLogger(__name__)

Converted = TypeVar("Converted")
Convert = Callable[[pd.DataFrame, tuple[str, ...], str, PartParams], Rows]
_LAYOUT = (KeyError, TypeError, AttributeError, IndexError)
"""What reading a nested cell of another layout raises."""


BEAVERTAILS_HARMS = (
    "animal_abuse", "child_abuse", "controversial_topics,politics", "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance", "financial_crime,property_crime,theft", "hate_speech,offensive_language",
    "misinformation_regarding_ethics,laws_and_safety", "non_violent_unethical_behavior", "privacy_violation",
    "self_harm", "sexually_explicit,adult_content", "terrorism,organized_crime", "violence,aiding_and_abetting,incitement",
)  # fmt: skip
"""Keys of the column ``category``; an objective is named by the first words of its harm."""


class Schema(NamedTuple):
    """Where a dataset lies, the columns it must have, how its rows become tables, and which of ``PAIR_FACTS`` are read or its own."""

    hub_id: str
    config: str | None
    columns: tuple[str, ...]
    convert: Convert
    facts: tuple[str, ...] = ()


def read_hub(params: IngestParams, task: TaskParams) -> RawTables:
    """Read a published dataset; nothing is fetched when ``ingest.path`` names a local file.

    Raises:
        InputError: the dataset cannot be loaded, has other columns, or lacks an objective.
    """
    schema, names = SCHEMAS[params.source], task.names
    found = []
    for name, part in parts_of(params).items():
        table, where = _load(params, schema, part)
        table = renamed(table, params.columns | part.columns, where)
        for column in schema.columns:
            if column not in table:
                raise InputError(
                    f"{where}: missing column {column!r} of the {params.source} schema; found "
                    f"{sorted(map(str, table.columns))}"
                )
        unread = [c for c in PAIR_FACTS if c in table and c not in schema.facts]
        if unread:
            log.warning(
                "%s: %s not read in the %s schema; ingest.source: files reads them",
                where,
                " and ".join(unread),
                params.source,
            )
        rows = schema.convert(table, names, where, part)
        found.append(weighted(rows, part.weight, name))
    rows = joined(found)
    return split_pairs(rows, names) if rows.unit == "pairs" else rated_responses(rows, names)


def _load(params: IngestParams, schema: Schema, part: PartParams) -> tuple[pd.DataFrame, str]:
    if part.path is not None:
        return read_table(part.path, params.hub_split), part.path
    where = params.hub_id or schema.hub_id
    table = read_dataset(
        where,
        schema.config,
        folder=part.hub_data_dir,
        revision=params.hub_revision,
        split=params.hub_split,
    )
    return table, where if part.hub_data_dir is None else f"{where}/{part.hub_data_dir}"


def _hh_rlhf(table: pd.DataFrame, names: tuple[str, ...], where: str, part: PartParams) -> Rows:
    """Chosen and rejected dialogues of one objective: the task's first, where none is named."""
    rows = chosen_rows(table, names, where, part.chosen or names[0])
    absent = {name: float("nan") for name in names if name not in rows.table}
    return replace(rows, table=rows.table.assign(**absent))


def _safe_rlhf(table: pd.DataFrame, names: tuple[str, ...], where: str, _: PartParams) -> Rows:
    columns = {"helpfulness": "better_response_id", "harmlessness": "safer_response_id"}
    _require(names, columns, where)
    pairs = table[["prompt", "response_0", "response_1"]].rename(
        columns={"response_0": "response_a", "response_1": "response_b"}
    )
    for name in names:
        pairs[name] = _each(table, where, partial(_chosen, column=columns[name]))
    return pair_rows(pairs, names, where)


def _chosen(row: dict[str, Any], column: str) -> float:
    return _winner(row[column], column)


def _helpsteer(table: pd.DataFrame, names: tuple[str, ...], where: str, _: PartParams) -> Rows:
    rated = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    _require(names, [*(name for name in rated if name in table), "conciseness"], where)

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        marks = {name: number(row[name]) for name in rated if name in row}
        marks["conciseness"] = -marks["verbosity"]
        prompt = row["prompt"]
        asked = marked_prompt(prompt) if isinstance(prompt, str) else prompt
        return {"prompt": asked, "response": row["response"], **{n: marks[n] for n in names}}

    return _rated(_each(table, where, lambda row: [answer(row)]), table, names, where)


def _ultrafeedback(table: pd.DataFrame, names: tuple[str, ...], where: str, _: PartParams) -> Rows:
    _require(names, ("instruction_following", "honesty", "truthfulness", "helpfulness"), where)

    def answers(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"prompt": row["instruction"], "response": completion["response"]}
            | {name: _mark(completion["annotations"].get(name)) for name in names}
            for completion in row["completions"]
        ]

    return _rated(_each(table, where, answers), table, names, where)


def _summarize(table: pd.DataFrame, names: tuple[str, ...], where: str, _: PartParams) -> Rows:
    """The ``axis`` configuration: every summary rated on each axis."""
    _require(names, ("overall", "accuracy", "coverage", "coherence"), where)

    def summary(row: dict[str, Any]) -> list[dict[str, Any]]:
        post = row["info"].get("post") or row["info"].get("article")
        axes = row["summary"]["axes"]
        return [
            {
                "prompt": None if post is None else f"Summarise this post.\n\n{post}",
                "response": row["summary"]["text"],
                **{name: number(axes.get(name)) for name in names},
            }
        ]

    return _rated(_each(table, where, summary), table, names, where)


def _beavertails(table: pd.DataFrame, names: tuple[str, ...], where: str, _: PartParams) -> Rows:
    """Answers judged safe or not, and free of each of 14 harms; several people's words are averaged."""
    harms = {f"no_{harm.split(',')[0]}": harm for harm in BEAVERTAILS_HARMS}
    _require(names, ["harmlessness", *harms], where)

    def answer(row: dict[str, Any]) -> list[dict[str, Any]]:
        marks = {
            name: _yes(row["is_safe"])
            if name == "harmlessness"
            else 1.0 - _yes(row["category"][harms[name]])
            for name in names
        }
        return [{"prompt": row["prompt"], "response": row["response"], **marks}]

    return _rated(_each(table, where, answer), table, names, where)


def _rated(
    answers: list[list[dict[str, Any]]], table: pd.DataFrame, names: tuple[str, ...], where: str
) -> Rows:
    """Responses with ratings, missing ones NaN; what has no text or no rating at all is dropped."""
    rows: list[dict[str, Any]] = []
    places: list[Any] = []
    dropped = Counter[str]()
    for at, group in zip(table.index, answers, strict=True):
        for answer in group:
            if is_missing(answer["prompt"]) or is_missing(answer["response"]):
                dropped["answers without a text"] += 1
            elif all(is_missing(answer[name]) for name in names):
                dropped["answers without a rating"] += 1
            else:
                rows.append(answer)
                places.append(at)
    if not rows:
        raise InputError(f"{where}: no response is rated on any of {list(names)}: {dict(dropped)}")
    rated = response_rows(frame(rows, places, str(table.index.name)), names, where)
    return replace(rated, read=sum(map(len, answers)), dropped=dict(dropped))


def _each(
    table: pd.DataFrame, where: str, convert: Callable[[dict[str, Any]], Converted]
) -> list[Converted]:
    """Convert every row; one of another layout is named.

    Raises:
        InputError: what ``convert`` refuses, and rows whose nested cells are built otherwise.
    """
    converted = []
    for row, cells in enumerate(table.to_dict("records")):
        try:
            converted.append(convert({str(name): cell for name, cell in cells.items()}))
        except InputError as error:
            raise InputError(f"{where}: {place(table, row)}: {error}") from None
        except _LAYOUT as error:
            raise InputError(
                f"{where}: {place(table, row)}: not built as the schema says ({type(error).__name__}: "
                f"{error}); leave it out or check ingest.source"
            ) from None
    return converted


def _winner(value: Any, column: str) -> float:
    """1 where response 0 wins, 0 where response 1 does, NaN where nobody said (null, -1)."""
    labels = {0.0: 1.0, 1.0: 0.0, -1.0: float("nan")}
    winner = number(value)
    if is_missing(winner):
        return winner
    if winner not in labels or isinstance(value, bool):
        raise InputError(
            f"column {column}: {value!r} is no response id; use 0, 1, or null for none"
        )
    return labels[winner]


def _yes(value: Any) -> float:
    """1 for yes, 0 for no, NaN where nobody said."""
    told = number(value)
    if told not in (0.0, 1.0) and not is_missing(told):
        raise InputError(f"{value!r} is neither yes nor no; use true, false, or null for unknown")
    return told


def _mark(annotation: Any) -> float:
    rating = None if annotation is None else annotation["Rating"]
    unknown = isinstance(rating, str) and text(rating).strip().upper() in ("N/A", "NA", "NONE")
    return number(None if unknown else rating)


def _require(names: tuple[str, ...], known: Any, where: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{where}: no labels for objective {unknown[0]!r}; there are {sorted(known)}"
        )


SCHEMAS = {
    "hh_rlhf": Schema("Anthropic/hh-rlhf", None, ("chosen", "rejected"), _hh_rlhf, PAIR_FACTS),
    "safe_rlhf": Schema(
        "PKU-Alignment/PKU-SafeRLHF", None,
        ("prompt", "response_0", "response_1", "better_response_id", "safer_response_id"),
        _safe_rlhf,
    ),
    "helpsteer": Schema(
        "nvidia/HelpSteer2", None, ("prompt", "response", "helpfulness", "verbosity"), _helpsteer
    ),
    "ultrafeedback": Schema(
        "openbmb/UltraFeedback", None, ("instruction", "completions"), _ultrafeedback
    ),
    "beavertails": Schema(
        "PKU-Alignment/BeaverTails", None, ("prompt", "response", "category", "is_safe"), _beavertails
    ),
    "summarize": Schema(
        "openai/summarize_from_feedback", "axis", ("info", "summary"), _summarize, ("split",)
    ),
}  # fmt: skip
"""Every source name of ``parameters.ingest.HUB_SCHEMAS``."""
