"""Human ratings of dialogue responses (USR annotations of Mehri and Eskenazi, 2020)."""

from typing import Any

import pandas as pd

from mopo_pipeline.columns import convert_column, number_column, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.raw import RawTables, no_judgements
from mopo_pipeline.sources.reading import read_table
from mopo_pipeline.tables import SCORE_PREFIX, chat_prompt

FACT_WORDS, LAST_TURNS = 80, 6
"""A prompt holds the start of the fact and the end of the dialogue: a CPU's context is short."""

COLUMNS = ("source", "context", "system_id", "system_output", "scores")


def read_topical_chat(path: str, names: tuple[str, ...]) -> RawTables:
    """Read mean ratings of several responses to each dialogue context.

    Args:
        path: JSON list with ``source`` (dialogue), ``context`` (a fact to use), ``system_id``,
            ``system_output`` and ``scores`` (a mean rating per objective).
        names: the objectives; each must be rated.

    Returns:
        Responses with one ``score_`` column per objective, and no judgements.

    Raises:
        InputError: a file that cannot be read, a missing column, an objective without ratings.
    """
    table = read_table(path)
    for column in COLUMNS:
        if column not in table:
            raise InputError(
                f"{path}: missing column {column!r}; found {sorted(map(str, table.columns))}"
            )
    where = path
    rated = convert_column(table, "scores", where, _ratings)
    scores = pd.DataFrame(rated, dtype=object, index=table.index)
    for name in names:
        if name not in scores:
            raise InputError(
                f"{path}: no rating for objective {name!r}; rated are {sorted(scores.columns)}"
            )
    facts, dialogues, answers = (
        convert_column(table, column, where, text)
        for column in ("context", "source", "system_output")
    )
    prompts = [_prompt(*row) for row in zip(facts, dialogues, strict=True)]
    codes = pd.factorize(pd.Series(prompts))[0]
    responses = pd.DataFrame(
        {
            "prompt_id": [f"dialogue{code:03d}" for code in codes],
            "prompt": prompts,
            "response": [answer.strip() for answer in answers],
        },
        index=table.index,
    )
    number = responses.groupby("prompt_id").cumcount().astype(str)
    responses["response_id"] = responses["prompt_id"] + "-" + number
    for name in names:
        responses[f"{SCORE_PREFIX}{name}"] = number_column(scores, name, where)
    return RawTables(responses, no_judgements(names), where, where, read={"responses": len(table)})


def _ratings(cell: Any) -> dict[str, Any]:
    """Ratings of an answer by objective.

    Raises:
        InputError: a cell of another build.
    """
    if not isinstance(cell, dict):
        raise InputError(f"{str(cell)[:40]!r} is no object with a rating per objective")
    return cell


def _prompt(fact: str, dialogue: str) -> str:
    turns = [turn.strip() for turn in dialogue.split("\n") if turn.strip()]
    said = [f"{'AB'[i % 2]}: {turn}" for i, turn in enumerate(turns)]
    spoken = "\n".join(said[-LAST_TURNS:])
    speaker = "AB"[len(turns) % 2]
    fact = " ".join(fact.split()[:FACT_WORDS])
    return chat_prompt(
        f"Fact: {fact}\n\nConversation:\n{spoken}\n\n"
        f"Write the next turn of {speaker}, using the fact."
    )
