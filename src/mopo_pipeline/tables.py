"""The tables every stage shares, checked at the edge: responses, judgements, comparisons."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.alike import (
    codes_of,
    first_equal,
    first_of_each,
    positions,
    repeats,
    said_alike,
)
from mopo_pipeline.columns import nearest, number_column, place
from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import parts_of_rows

SPLITS = ("train", "validation", "test")
RESPONSE_COLUMNS = ("prompt_id", "response_id", "prompt", "response", "split", "source")
PAIR_COLUMNS = ("prompt_id", "response_a", "response_b")
SCORE_PREFIX = "score_"

_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
"""Characters nobody sees and no script needs: spaces of no width, a byte-order mark, a soft hyphen."""

_encoded = json.JSONEncoder(ensure_ascii=False).encode
"""What ``json.dumps`` would make, without an encoder made anew for each text."""


def chat_messages(prompt: str) -> list[dict[str, str]]:
    """The chat messages of a stored prompt.

    >>> chat_messages('[{"role": "user", "content": "Hi"}]')
    [{'role': 'user', 'content': 'Hi'}]
    """
    return list(json.loads(prompt))


def chat_prompt(text: str) -> str:
    """A plain text as a stored prompt of one user message."""
    return _encoded([{"role": "user", "content": text}])


def source_name(source: str) -> str:
    """A source for people elsewhere: of a place on this machine its last name alone.

    >>> source_name("/home/me/votes.csv"), source_name("someone/votes")
    ('votes.csv', 'someone/votes')
    """
    return Path(source).name if Path(source).is_absolute() else source


def prompt_text(prompt: str) -> str:
    """The last message of a stored prompt, for people to read."""
    return chat_messages(prompt)[-1]["content"]


def normalised_prompt(prompt: str) -> str:
    """What makes two stored prompts the same prompt: roles and texts of all messages.

    Texts are compared in Unicode's composed form (NFC), without characters that cannot be seen, with runs of white
    space as one space and none at the ends; case and compatibility characters (x² and x2) stay apart, since they may ask
    for something else.

    >>> normalised_prompt(chat_prompt("Why ?  ")) == normalised_prompt(chat_prompt("Why ?"))
    True
    >>> normalised_prompt(chat_prompt("why ?")) == normalised_prompt(chat_prompt("Why ?"))
    False

    Raises:
        InputError: no JSON list of chat messages.
    """
    try:
        messages = [(str(m["role"]), m["content"]) for m in json.loads(prompt)]
        if not messages or not all(isinstance(content, str) for _, content in messages):
            raise ValueError
    except (TypeError, ValueError, KeyError):
        raise InputError(
            f"{str(prompt)[:60]!r} is not a JSON list of chat messages with role and content"
        ) from None
    return _encoded([(role, folded(content)) for role, content in messages])


def folded(content: str) -> str:
    """A text in Unicode's composed form, without characters nobody sees, with runs of white space as one space."""
    seen = content if content.isascii() else content.translate(_UNSEEN)
    return " ".join(unicodedata.normalize("NFC", seen).split())


def prompt_codes(prompts: pd.Series) -> NDArray[np.intp]:
    """Numbers (n,) from 0 by first appearance of stored prompts (n,), equal for those of one normalised form.

    Each different text is normalised once, and never all of them are held.

    Raises:
        InputError: a prompt that is no list of chat messages, by its number among the different ones.
    """
    text_of = said_alike(prompts)
    first = np.flatnonzero(first_of_each(text_of))
    keys = np.empty(len(first), dtype=np.int64)
    different = (prompt for part in parts_of_rows(prompts, first) for prompt in part)
    for number, prompt in enumerate(different):
        try:
            keys[number] = hash(normalised_prompt(prompt))
        except InputError as error:
            raise InputError(f"prompt {number + 1}: {error}") from None
    return codes_of(first_equal(keys))[text_of]


def weight_columns(objectives: tuple[str, ...] | list[str]) -> list[str]:
    """Names of the weight columns of the comparisons table, one per objective."""
    return [f"{name}_weight" for name in objectives]


def comparison_weights(
    comparisons: pd.DataFrame, objectives: tuple[str, ...] | list[str]
) -> NDArray[np.float64]:
    """Weight of every comparison for every objective, (M, K), >= 0; 0 where the label is missing."""
    return comparisons[weight_columns(objectives)].to_numpy(dtype=np.float64)


def validate_responses(responses: pd.DataFrame, where: str) -> pd.DataFrame:
    """Check the responses table; ``where`` names the file or source in messages.

    Ratings may be missing; they come back as numbers.

    Raises:
        InputError: a missing column, an empty table, a missing or repeated id, a prompt that is not
            a list of chat messages, one prompt id with two prompts, a rating that is no number.
    """
    _require(responses, ("prompt_id", "response_id", "prompt", "response"), where)
    if responses.empty:
        raise InputError(
            f"{where}: no responses at all; give at least one prompt with two responses"
        )
    _refuse_missing(responses, ("prompt_id", "response_id", "prompt", "response"), where)
    for row in repeats(responses["response_id"]).tolist():
        value = responses["response_id"].iloc[row]
        first = _row(responses["response_id"] == value)
        if first < row:
            raise InputError(
                f"{where}: {place(responses, row)}: response_id {value!r} appears twice (first at "
                f"{place(responses, first)}); ids must be unique"
            )
    try:
        same = prompt_codes(responses["prompt"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    refuse_contradictions(
        responses, responses["prompt_id"], responses["prompt"], "prompt", where, same
    )
    return responses.assign(
        **{name: number_column(responses, name, where) for name in score_columns(responses)}
    )


def validate_judgements(
    judgements: pd.DataFrame, responses: pd.DataFrame, objectives: tuple[str, ...], where: str
) -> pd.DataFrame:
    """Check pairwise labels against the responses.

    Returns:
        The table with numeric labels, NaN where missing, and a column ``weight``, 1 where the
        source gives none.

    Raises:
        InputError: a missing or unknown objective column, an unknown response, a pair across
            prompts or of a response with itself, a label outside [0, 1], a negative weight.
    """
    _require(judgements, PAIR_COLUMNS, where)
    absent = [name for name in objectives if name not in judgements]
    if absent:
        known = sorted(
            set(judgements.columns) - set(PAIR_COLUMNS) - {"annotator", "weight", "split", "group"}
        )
        raise InputError(
            f"{where}: no column for objective {absent[0]!r}{nearest(absent[0], known)}; the label columns are "
            f"{known}. "
            "Rename the column or the entry in task.objectives"
        )
    _refuse_missing(judgements, PAIR_COLUMNS, where)
    _check_pairs(judgements, responses, where)
    labels = {name: _labels(judgements, name, where) for name in objectives}
    return judgements.assign(**labels, weight=_weights(judgements, where))


def refuse_contradictions(
    table: pd.DataFrame,
    keys: pd.Series,
    values: pd.Series,
    column: str,
    where: str,
    same: NDArray[np.intp] | None = None,
) -> None:
    """Refuse a key that has two values.

    Args:
        table: what the rows are called by.
        keys: what belongs together, row for row, by position.
        values: what must be the same for equal keys.
        column: what the values are, in the message.
        where: the file or source.
        same: (n,) numbers that are equal for values which count as the same; None compares the values.

    Raises:
        InputError: a row whose value differs from that of the first row of its key; names both.
    """
    first = first_equal(said_alike(keys))
    found = said_alike(values) if same is None else same
    differs = found != found[first]
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        other = int(first[row])
        raise InputError(
            f"{where}: {place(table, row)}: {column} {str(values.iloc[row])[:60]!r}, but "
            f"{place(table, other)} gives {str(values.iloc[other])[:60]!r} for the same {keys.name}; make "
            "them agree"
        )


def score_columns(responses: pd.DataFrame) -> list[str]:
    """Rating columns of a responses table."""
    return [c for c in responses.columns if c.startswith(SCORE_PREFIX)]


def _check_pairs(judgements: pd.DataFrame, responses: pd.DataFrame, where: str) -> None:
    asked = said_alike(pd.concat([responses["prompt_id"], judgements["prompt_id"]]))
    given, meant = asked[: len(responses)], asked[len(responses) :]
    for side in ("response_a", "response_b"):
        at = positions(judgements[side], responses["response_id"])
        unknown = at < 0
        if unknown.any():
            row = int(unknown.argmax())
            raise InputError(
                f"{where}: {place(judgements, row)}, column {side}: {judgements[side].iloc[row]!r} is no "
                "response_id of the responses"
            )
        other = given[at] != meant
        if other.any():
            row = int(other.argmax())
            raise InputError(
                f"{where}: {place(judgements, row)}: {judgements[side].iloc[row]!r} answers prompt "
                f"{responses['prompt_id'].iloc[at[row]]!r}, not {judgements['prompt_id'].iloc[row]!r}; compare responses to one prompt"
            )
    itself = judgements["response_a"] == judgements["response_b"]
    if itself.any():
        raise InputError(
            f"{where}: {place(judgements, _row(itself))}: a response is compared with itself"
        )


def _labels(judgements: pd.DataFrame, name: str, where: str) -> NDArray[np.float64]:
    """Labels (n,) of one objective, NaN where missing."""
    values = number_column(judgements, name, where)
    bad = (values < 0) | (values > 1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{where}: {place(judgements, row)}, column {name}: label {values[row]:g} lies outside [0, 1] "
            "(1 a wins, 0 b wins, 0.5 tie)"
        )
    return values


def _weights(judgements: pd.DataFrame, where: str) -> NDArray[np.float64]:
    """Weights (n,) of judgements, 1 where none is given."""
    if "weight" not in judgements:
        return np.ones(len(judgements))
    values = number_column(judgements, "weight", where)
    if (values < 0).any():
        row = int((values < 0).argmax())
        raise InputError(
            f"{where}: {place(judgements, row)}, column weight: {values[row]:g} is negative; a weight is "
            "0 or more, and 1 where it is left empty"
        )
    weights = np.where(np.isnan(values), 1.0, values)
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not 0.0 < total < np.inf:
        raise InputError(
            f"{where}: column weight: the weights sum to {total:g}, which no mean can be taken with; "
            "give weights around 1"
        )
    return weights


def _require(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    absent = [c for c in columns if c not in table]
    if absent:
        raise InputError(
            f"{where}: missing column {absent[0]!r}; found {sorted(map(str, table.columns))}"
        )


def _refuse_missing(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    for column in columns:
        missing = table[column].isna()
        if missing.any():
            raise InputError(
                f"{where}: {place(table, _row(missing))}, column {column}: missing value; fill it or "
                "drop the row"
            )


def _row(mask: pd.Series) -> int:
    return int(np.flatnonzero(mask.to_numpy())[0])
