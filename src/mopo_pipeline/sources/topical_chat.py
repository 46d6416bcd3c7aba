"""Human ratings of dialogue responses (USR annotations of Mehri and Eskenazi, 2020)."""

from pathlib import Path

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.sources.files import read_table
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX, chat_prompt

FACT_WORDS, LAST_TURNS = 80, 6
"""A prompt holds the start of the fact and the end of the dialogue: a CPU's context is short."""

COLUMNS = ("source", "context", "system_id", "system_output", "scores")


def read_topical_chat(path: Path, names: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    scores = pd.DataFrame(table["scores"].tolist())
    for name in names:
        if name not in scores:
            raise InputError(
                f"{path}: no rating for objective {name!r}; rated are {sorted(scores.columns)}"
            )
    prompts = [_prompt(*row) for row in zip(table["context"], table["source"], strict=True)]
    codes = pd.factorize(pd.Series(prompts))[0]
    responses = pd.DataFrame(
        {
            "prompt_id": [f"dialogue{code:03d}" for code in codes],
            "prompt": prompts,
            "response": table["system_output"].str.strip(),
        }
    )
    number = responses.groupby("prompt_id").cumcount().astype(str)
    responses["response_id"] = responses["prompt_id"] + "-" + number
    for name in names:
        responses[f"{SCORE_PREFIX}{name}"] = scores[name].astype(float)
    return responses, pd.DataFrame(columns=[*PAIR_COLUMNS, *names])


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
