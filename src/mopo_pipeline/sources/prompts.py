"""One prompt is one text: equal prompts are merged, and no split is crossed."""

import logging
import re

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from mopo_pipeline.alike import first_equal, first_of_each, said_alike
from mopo_pipeline.columns import convert_column, place, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import parts_of_rows, taken
from mopo_pipeline.parameters.ingest import SplitParams
from mopo_pipeline.sampling_units import divided_groups
from mopo_pipeline.tables import SPLITS, chat_messages, prompt_codes, refuse_contradictions

log = logging.getLogger(__name__)

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def same_prompts(prompts: pd.Series) -> tuple[pd.Series, int]:
    """Write each prompt as its first row does.

    Returns:
        The first spelling of every prompt, and how many other spellings it replaces.
    """
    codes = prompt_codes(prompts)
    others = int(said_alike(prompts).max(initial=-1)) - int(codes.max(initial=-1))
    if others == 0:
        return prompts.rename("prompt"), 0
    return pd.Series(taken(prompts, first_equal(codes)), prompts.index, name="prompt"), others


def merge_prompts(
    responses: pd.DataFrame, judgements: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Give prompts of one normalised text one id and one spelling, those of the first row.

    A model sees texts, not ids: two ids of one text would put a prompt it was trained on into the
    test split, and compare neither one's responses with the other's.

    Returns:
        Both tables, and how many ids or spellings were merged into an earlier one.
    """
    spelling, _ = same_prompts(responses["prompt"])
    prompt_of = said_alike(spelling)
    id_of = said_alike(responses["prompt_id"])
    written_of = said_alike(responses["prompt"])
    told = first_of_each(id_of * (int(written_of.max()) + 1) + written_of)
    merged = int(told.sum()) - (int(prompt_of.max()) + 1)
    if not merged:
        return responses, judgements, 0
    first = np.flatnonzero(first_of_each(prompt_of))
    ids = pd.Series(
        taken(responses["prompt_id"], first[prompt_of]), responses.index, name="prompt_id"
    )
    seen = first_of_each(id_of)
    new_id = dict(zip(responses["prompt_id"][seen], ids[seen], strict=True))
    if "prompt_id" in judgements:
        judged = judgements["prompt_id"].map(lambda old: new_id.get(old, old))
        judgements = judgements.assign(prompt_id=judged)
    return responses.assign(prompt_id=ids, prompt=spelling), judgements, merged


def with_splits(
    responses: pd.DataFrame, params: SplitParams, rng: np.random.Generator, where: str
) -> pd.DataFrame:
    """Keep the splits a source gives, or draw them; every prompt and every group stands in one.

    Raises:
        InputError: an unknown or empty split, one prompt with two splits or groups, one group with
            two splits, no column ``group`` where ``by`` asks for it.
    """
    for column in ("split", "group"):
        if column in responses:
            values = convert_column(responses, column, where, text)
            responses = responses.assign(**{column: values})
            refuse_contradictions(
                responses, responses["prompt_id"], responses[column], column, where
            )
    if params.by == "group" and "group" not in responses:
        raise InputError(
            f"{where}: ingest.split.by is 'group', but the responses have no column 'group'; add one "
            "or split by prompt"
        )
    units = responses["group" if params.by == "group" else "prompt_id"]
    given = "split" in responses
    if not given:
        responses = responses.assign(split=draw_splits(units, params, rng))
    _check_splits(responses, units, where, given=given)
    refuse_contradictions(responses, units, responses["split"], "split", where)
    return responses


def tell_divided_groups(responses: pd.DataFrame, where: str) -> None:
    """Warn where prompts of one group stand in several splits: test prompts are then neither new nor drawn one by one."""
    if divided := divided_groups(responses):
        log.warning(
            "%s: %d of %d groups stand in several splits: test prompts have others of their group in training, and intervals "
            "take them to be drawn one by one; set ingest.split.by: group, or leave the column out",
            where,
            divided,
            responses["group"].nunique(),
        )


def tell_known_questions(responses: pd.DataFrame, where: str) -> None:
    """Warn of test prompts whose first question is that of a training prompt up to case and punctuation: they are not new."""
    first = np.flatnonzero(first_of_each(said_alike(responses["prompt_id"])))
    prompts = (prompt for part in parts_of_rows(responses["prompt"], first) for prompt in part)
    asked = np.fromiter((hash(_question(prompt)) for prompt in prompts), np.int64, len(first))
    split = np.asarray(taken(responses["split"], first))
    test = asked[split == "test"]
    if known := int(np.isin(test, asked[split == "train"]).sum()):
        log.warning(
            "%s: %d of %d test prompts begin with the question of a training prompt (the same words up to case and "
            "punctuation) and are not new to what is trained: give what belongs together one name in a column group, and set "
            "ingest.split.by: group",
            where,
            known,
            len(test),
        )


def _question(prompt: str) -> str:
    """The words of the first question of a stored prompt, in small letters."""
    messages = chat_messages(prompt)
    said = next((m["content"] for m in messages if m["role"] == "user"), messages[0]["content"])
    return _BETWEEN_WORDS.sub(" ", said).casefold().strip() or said


def draw_splits(units: pd.Series, params: SplitParams, rng: np.random.Generator) -> ExtensionArray:
    """A split for every row, (n,); all rows of a unit (a prompt, a group) share one."""
    codes = said_alike(units)
    count = int(codes.max()) + 1
    order = rng.permutation(count)
    n_train = max(1, round(count * params.train))
    n_validation = round(count * params.validation)
    split_of = np.full(count, SPLITS.index("test"))
    split_of[order[:n_train]] = SPLITS.index("train")
    split_of[order[n_train : n_train + n_validation]] = SPLITS.index("validation")
    return taken(pd.Series(SPLITS, dtype="str"), split_of[codes])


def _check_splits(responses: pd.DataFrame, units: pd.Series, where: str, *, given: bool) -> None:
    """Refuse unknown and empty splits; ``units`` (n,) are what is split, named, and ``given`` says that the file splits them."""
    unknown = ~responses["split"].isin(SPLITS).to_numpy()
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(
            f"{where}: {place(responses, row)}: unknown split {responses['split'].iloc[row]!r}; use "
            f"{', '.join(SPLITS)}"
        )
    empty = [name for name in SPLITS if not (responses["split"] == name).any()]
    if empty:
        what, count = ("groups" if units.name == "group" else "prompts"), units.nunique()
        remedy = "change ingest.split or add" if count >= len(SPLITS) else "add"
        remedy = f"{remedy} {what}"
        if given:
            remedy = f"the file's column split names no {empty[0]}: name some of its prompts so, or drop the column"
        raise InputError(
            f"{where}: the {empty[0]} split is empty ({count} {what} in all); {remedy}"
        )
