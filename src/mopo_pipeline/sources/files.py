"""A user's own data: the layout of each file is seen from its columns."""

import logging

import pandas as pd

from mopo_pipeline.columns import INSIDE, NESTED, nearest, spelt, text, text_column
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ENDED
from mopo_pipeline.parameters.ingest import IngestParams, PartParams
from mopo_pipeline.sources.chosen import CHOSEN, chosen_rows
from mopo_pipeline.sources.completions import completion_rows
from mopo_pipeline.sources.messages import tell_thoughts, written_once
from mopo_pipeline.sources.nested import column_of
from mopo_pipeline.sources.otherwise import (
    tell_direction,
    tell_marks_of_choice,
    tell_ties,
    tell_turned,
    tell_turns,
    tell_winner,
)
from mopo_pipeline.sources.pairs import PAIR_FACTS, SIDES, labels, pair_rows, split_pairs
from mopo_pipeline.sources.parts import joined, parts_of, renamed, weighted
from mopo_pipeline.sources.rated import IDS, rated_responses, response_rows
from mopo_pipeline.sources.raw import PROMPT_COLUMNS, RANK_PREFIX, RawTables, Rows
from mopo_pipeline.sources.reading import read_table
from mopo_pipeline.sources.words import valued
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX

log = logging.getLogger(__name__)

OF_A_PROMPT = (
    "system", "system_prompt", "instruction", "input", "context", "history", "tools", "document", "passage", "article",
    "persona", "initial_reason_steps",
)  # fmt: skip
"""Columns in which other programs keep a part of what was asked."""

OF_A_CHOICE = ("score_chosen", "score_rejected", "chosen_score", "rejected_score", "margin")
"""Columns in which they keep how far one answer was better."""


def read_files(params: IngestParams, names: tuple[str, ...]) -> RawTables:
    """Read responses and, where there are any, pairwise labels.

    Layouts, by their columns: rated responses (``prompt``, ``response`` and a column per objective);
    the same with labels of pairs of ids in a second file; labelled pairs of texts (``prompt``,
    ``response_a``, ``response_b`` and a column per objective); ``chosen`` and ``rejected``;
    ``completions``, a list in each row. A prompt is plain text or chat messages, a response plain text
    or one message of the assistant. Ids are text; they are made where they are absent and nothing
    refers to them. A column ``split`` or ``group`` belongs to the prompt.

    Raises:
        InputError: a missing or unreadable file, a missing column, a cell that is no text or number;
            with line and column.
    """
    parts = parts_of(params)
    for columns in (params.columns, *(part.columns for part in parts.values())):
        _refuse_unread_names(columns, names)
    found = [
        weighted(_rows(part, params, names, whole=len(parts) == 1), part.weight, name)
        for name, part in parts.items()
    ]
    rows = joined(found)
    if params.judgements_path is not None:
        return _judged(rows, params, params.judgements_path, names)
    if params.strongest is not None and rows.unit != "pairs":
        raise InputError(
            f"{rows.where}: ingest.strongest is {params.strongest:g}, but ratings have no strongest one: leave it out"
        )
    for name in names:
        _require(rows.table, name, rows.where, list(rows.table.columns))
    return split_pairs(rows, names) if rows.unit == "pairs" else rated_responses(rows, names)


def _refuse_unread_names(columns: dict[str, str], names: tuple[str, ...]) -> None:
    """Refuse a name of ``ingest.columns`` that no layout reads: what it was meant for would be passed over."""
    read = ("prompt", "response", "completions", *SIDES, *CHOSEN, *IDS, *PAIR_FACTS, ENDED, *names)
    for here, there in columns.items():
        if not {here, _objective(here)} & set(read):
            turned = f", so perhaps {there}: {here} the other way round" if there in read else ""
            raise InputError(
                f"ingest.columns names {here!r}, which nothing reads{nearest(here, read)}; it is written as the name here: the "
                f"name in the file{turned}; names here are {', '.join(read)}"
            )


def _rows(part: PartParams, params: IngestParams, names: tuple[str, ...], whole: bool) -> Rows:
    if part.path is None:
        raise InputError("ingest.source 'files' needs a path for each of ingest.parts")
    where = part.path
    table = read_table(where, params.hub_split)
    named = params.columns | part.columns
    if params.judgements_path is not None:
        named = {here: there for here, there in named.items() if column_of(there, table.columns)}
    table, said = valued(renamed(table, named, where), names, params.values)
    table = written_once(table, ("prompt", "response", *SIDES, *CHOSEN), where)
    tell_thoughts(table, ("prompt", "response", "completions", *SIDES, *CHOSEN), where)
    columns = set(map(str, table.columns))
    _refuse_several_layouts(columns, where)
    _tell_misspelt(columns, names, where)
    unread = _tell_unread(columns, names, where)
    tell_turns(table, unread, where)
    chosen = columns >= set(CHOSEN)
    if params.judgements_path is not None and (chosen or columns >= set(SIDES)):
        raise InputError(
            f"{where}: labelled pairs of texts bring their labels; leave ingest.judgements_path empty"
        )
    if part.chosen is not None and not chosen:
        raise InputError(
            f"{where}: ingest.chosen is {part.chosen!r}, but the file has no columns chosen and rejected; leave it out"
        )
    if chosen:
        tell_marks_of_choice(table, unread, where)
        if part.chosen is not None or not any(name in columns for name in names):
            tell_winner(unread, where)
        return chosen_rows(table, names, where, part.chosen, params.strongest)
    if not columns & set(SIDES):
        tell_direction(named, names, where)
    if "completions" in columns and "response" not in columns:
        if params.values:
            raise InputError(
                f"{where}: ingest.values is not read of ratings inside completions: name them by paths in ingest.columns, as "
                "{response: completions.*.text, <objective>: completions.*.<its key>}"
            )
        return completion_rows(table, names, where)
    if columns & {"conversations", "messages"} and "response" not in columns:
        raise InputError(
            f"{where}: whole conversations, found {sorted(columns)}: put the messages before the answer "
            "into the column prompt, the answer into response"
        )
    _refuse_no_answers(table, columns, where)
    if params.judgements_path is None and whole:
        for name in names:
            _require(table, name, where, list(table.columns))
    if "response" not in columns and columns & set(SIDES):
        for name in names if whole else ():
            rating = [p + name for p in (SCORE_PREFIX, RANK_PREFIX) if p + name in columns]
            if name not in columns and rating:
                raise InputError(
                    f"{where}: column {rating[0]!r} would rate an answer, and a row has two: name the label's column "
                    f"{name!r}"
                )
        tell_turned(table, named, tuple(n for n in names if n not in said), where)
        tell_ties(table, unread, names, where)
        return pair_rows(table, names, where, params.strongest)
    return response_rows(table, names, where)


def _refuse_several_layouts(columns: set[str], where: str) -> None:
    """Refuse columns of which one layout would have to be passed over."""
    layouts = (CHOSEN, SIDES, ("completions",), ("response",))
    found = [" and ".join(layout) for layout in layouts if columns >= set(layout)]
    if len(found) > 1:
        raise InputError(
            f"{where}: the columns {found[0]} and the columns {found[1]} each say what the answers are; "
            "keep one of the two"
        )


def _tell_misspelt(columns: set[str], names: tuple[str, ...], where: str) -> None:
    """Warn of a column that would be read under another spelling; refuse two spellings of one name.

    Raises:
        InputError: both spellings are there, and only one would be read.
    """
    texts = ("prompt", "response", "completions", *SIDES, *CHOSEN)
    optional = (*PAIR_FACTS, *IDS, ENDED)
    every = (*texts, *optional, *names)
    for known in every:
        others = sorted(c for c in columns if c != known and spelt(c) == spelt(known))
        others = [c for c in others if c not in every]
        if others and known in columns:
            raise InputError(
                f"{where}: columns {known!r} and {others[0]!r} differ in spelling alone, and only the first would be "
                "read: make one of them, or rename the other"
            )
        if others and known in optional:
            log.warning(
                "%s: column %r is not read: if it is meant, write it %r, or set ingest.columns: {%s: %s}",
                where,
                others[0],
                known,
                known,
                others[0],
            )


def _tell_unread(columns: set[str], names: tuple[str, ...], where: str) -> list[str]:
    """Name the columns that no layout reads, and return them; warn of those that may hold a part of what was asked, or of the choice."""
    read = {"prompt", "response", "completions", *SIDES, *CHOSEN, *IDS, *PAIR_FACTS, ENDED, *names}
    unread = sorted(c for c in columns if c not in read and _objective(c) not in names)
    if unread:
        log.info("%s: columns that are not read: %s", where, ", ".join(unread))
    for meant, told in (
        (OF_A_PROMPT, "what was asked must stand in the column prompt, whole, as text or messages"),
        (
            OF_A_CHOICE,
            "the choice alone is a label; strengths are labels of pairs (ingest.strongest)",
        ),
    ):
        if found := [c for c in unread if c.lower() in meant]:
            log.warning(
                "%s: %s %s not read: %s",
                where,
                " and ".join(found),
                "is" if len(found) == 1 else "are",
                told,
            )
    return unread


def _objective(column: str) -> str:
    """What a column rates; itself where it rates nothing."""
    return column.removeprefix(SCORE_PREFIX).removeprefix(RANK_PREFIX)


def _refuse_no_answers(table: pd.DataFrame, columns: set[str], where: str) -> None:
    """Refuse a file of which no column is called as one that holds answers."""
    texts = ("prompt", "response", "completions", *SIDES, *CHOSEN)
    if not columns & {*texts[1:]}:
        meant = [f"{t}: {c}" for t in texts for c in sorted(columns) if spelt(c) == spelt(t) != c]
        example = ", ".join(meant) or "prompt: question, response: answer"
        raise InputError(
            f"{where}: no column holds answers (response; response_a and response_b; chosen and rejected; completions); found "
            f"{sorted(columns)}: name yours in ingest.columns, as {{{example}}}{_inside(table)}"
        )


def _inside(table: pd.DataFrame) -> str:
    """Where what is sought may stand inside cells; the end of a message."""
    held = [str(c) for c in table if any(isinstance(cell, NESTED) for cell in table[c][:1])]
    return f". Where it stands inside {' or '.join(held)}, {INSIDE}" if held else ""


def _require(table: pd.DataFrame, name: str, where: str, known: list[str]) -> None:
    if not any(prefix + name in table for prefix in ("", SCORE_PREFIX, RANK_PREFIX)):
        raise InputError(
            f"{where}: no column for objective {name!r}{nearest(name, known)}; found {sorted(map(str, known))}. "
            "Name it in ingest.columns, rename the entry in task.objectives, or give ingest.judgements_path"
            f"{_inside(table)}"
        )


def _judged(rows: Rows, params: IngestParams, path: str, names: tuple[str, ...]) -> RawTables:
    for column in IDS:
        if column not in rows.table:
            raise InputError(f"{rows.where}: missing column {column!r}, which {path} refers to")
    judgements = read_table(path)
    for here, there in params.columns.items():
        if not column_of(there, judgements.columns) and not {
            here,
            SCORE_PREFIX + _objective(here),
        } & set(rows.table):
            raise InputError(
                f"{path}: ingest.columns names {there!r}, which neither file has"
                f"{nearest(there, judgements.columns)}"
            )
    given = {
        here: there
        for here, there in params.columns.items()
        if column_of(there, judgements.columns)
    }
    judgements, said = valued(renamed(judgements, given, path), names, params.values)
    columns = set(map(str, judgements.columns))
    _tell_misspelt(columns, names, path)
    tell_turned(judgements, given, tuple(n for n in names if n not in said), path)
    tell_ties(judgements, _tell_unread(columns, names, path), names, path)
    for column in PAIR_COLUMNS:
        if column in judgements:
            judgements[column] = text_column(judgements, column, path, text, keeps_text=True)
    for name in names:
        if name in judgements:
            judgements[name] = labels(judgements, name, path, params.strongest)
    for column in PROMPT_COLUMNS:
        if column in judgements and column not in rows.table:
            log.warning(
                "%s: column %r is not read of votes: it belongs to the prompts, in %s",
                path,
                column,
                rows.where,
            )
    responses = rows.table.drop(columns=["annotator", "weight"], errors="ignore")
    return RawTables(
        responses,
        judgements,
        rows.where,
        path,
        read={"responses": rows.read, "pairs": len(judgements)},
        dropped={"responses": dict(rows.dropped)},
        merged=dict(rows.merged),
    )
