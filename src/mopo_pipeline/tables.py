"""The two tables every stage shares, checked at the edge: responses and judgements."""

import json
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError

SPLITS = ("train", "validation", "test")
RESPONSE_COLUMNS = ("prompt_id", "response_id", "prompt", "response", "split", "source")
PAIR_COLUMNS = ("prompt_id", "response_a", "response_b")
SCORE_PREFIX = "score_"


def chat_messages(prompt: str) -> list[dict[str, str]]:
    """The chat messages of a stored prompt.

    >>> chat_messages('[{"role": "user", "content": "Hi"}]')
    [{'role': 'user', 'content': 'Hi'}]
    """
    return list(json.loads(prompt))


def chat_prompt(text: str) -> str:
    """A plain text as a stored prompt of one user message."""
    return json.dumps([{"role": "user", "content": text}], ensure_ascii=False)


def prompt_text(prompt: str) -> str:
    """The last message of a stored prompt, for people to read."""
    return chat_messages(prompt)[-1]["content"]


def validate_responses(responses: pd.DataFrame, where: str) -> pd.DataFrame:
    """Check the responses table; ``where`` names the file or source in messages.

    Raises:
        InputError: a missing column, an empty table, a missing or repeated id, a prompt that is not
            a list of chat messages, one prompt id with two prompts, a non-finite rating.
    """
    _require(responses, ("prompt_id", "response_id", "prompt", "response"), where)
    if responses.empty:
        raise InputError(
            f"{where}: no responses at all; give at least one prompt with two responses"
        )
    for column in ("prompt_id", "response_id", "prompt", "response"):
        missing = responses[column].isna()
        if missing.any():
            raise InputError(
                f"{where}: row {_row(missing)}, column {column}: missing value; fill it or drop the row"
            )
    repeated = responses["response_id"].duplicated()
    if repeated.any():
        row = _row(repeated)
        raise InputError(
            f"{where}: row {row}: response_id {responses['response_id'].iloc[row]!r} appears twice; ids must be unique"
        )
    texts = responses.groupby("prompt_id")["prompt"].nunique()
    if (texts > 1).any():
        raise InputError(
            f"{where}: prompt_id {texts.idxmax()!r} stands for {texts.max()} different prompts"
        )
    for row, prompt in enumerate(responses["prompt"].drop_duplicates()):
        _check_prompt(prompt, f"{where}: prompt {row}")
    for column in score_columns(responses):
        bad = ~np.isfinite(responses[column].to_numpy(dtype=float))
        if bad.any():
            row = _row(pd.Series(bad))
            raise InputError(
                f"{where}: row {row}, column {column}: rating {responses[column].iloc[row]} is not finite"
            )
    return responses.reset_index(drop=True)


def validate_judgements(
    judgements: pd.DataFrame, responses: pd.DataFrame, objectives: tuple[str, ...], where: str
) -> pd.DataFrame:
    """Check pairwise labels against the responses.

    Raises:
        InputError: a missing or unknown objective column, an unknown response, a pair across
            prompts or of a response with itself, a label outside [0, 1].
    """
    _require(judgements, PAIR_COLUMNS, where)
    absent = [name for name in objectives if name not in judgements]
    if absent:
        known = sorted(
            set(judgements.columns) - set(PAIR_COLUMNS) - {"annotator", "weight", "split"}
        )
        raise InputError(
            f"{where}: no column for objective {absent[0]!r}; the label columns are {known}. "
            "Rename the column or the entry in task.objectives"
        )
    prompt_of = responses.set_index("response_id")["prompt_id"]
    for side in ("response_a", "response_b"):
        found = prompt_of.reindex(judgements[side]).to_numpy()
        unknown = pd.isna(found)
        if unknown.any():
            row = _row(pd.Series(unknown))
            raise InputError(
                f"{where}: row {row}, column {side}: {judgements[side].iloc[row]!r} is no response_id"
            )
        other = found != judgements["prompt_id"].to_numpy()
        if other.any():
            row = _row(pd.Series(other))
            raise InputError(
                f"{where}: row {row}: {judgements[side].iloc[row]!r} answers prompt {found[row]!r}, "
                f"not {judgements['prompt_id'].iloc[row]!r}; compare responses to one prompt"
            )
    itself = judgements["response_a"] == judgements["response_b"]
    if itself.any():
        raise InputError(f"{where}: row {_row(itself)}: a response is compared with itself")
    for name in objectives:
        _check_labels(judgements[name], f"{where}: column {name}")
    return judgements.reset_index(drop=True)


def score_columns(responses: pd.DataFrame) -> list[str]:
    """Rating columns of a responses table."""
    return [c for c in responses.columns if c.startswith(SCORE_PREFIX)]


def _check_labels(column: pd.Series, where: str) -> None:
    try:
        values = column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        numbers = pd.to_numeric(column, errors="coerce")
        row = _row(numbers.isna() & column.notna())
        raise InputError(
            f"{where}, row {row}: label {column.iloc[row]!r} is not a number; use 1, 0, 0.5 or leave it empty"
        ) from None
    bad = ~((values >= 0) & (values <= 1)) & ~np.isnan(values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{where}, row {row}: label {values[row]} lies outside [0, 1] (1 a wins, 0 b wins, 0.5 tie)"
        )


def _check_prompt(prompt: Any, where: str) -> None:
    try:
        messages = json.loads(prompt)
        if not messages or not all({"role", "content"} <= set(m) for m in messages):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: {str(prompt)[:60]!r} is not a JSON list of chat messages with role and content"
        ) from None


def _require(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    absent = [c for c in columns if c not in table]
    if absent:
        raise InputError(
            f"{where}: missing column {absent[0]!r}; found {sorted(map(str, table.columns))}"
        )


def _row(mask: pd.Series) -> int:
    return int(np.flatnonzero(mask.to_numpy())[0])
