"""One prompt is one text: equal prompts are merged, and no split is crossed."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.columns import convert_column, place, text
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import SplitParams
from mopo_pipeline.tables import SPLITS, normalised_prompt, refuse_contradictions


def same_prompts(prompts: pd.Series) -> tuple[pd.Series, int]:
    """Write each prompt as its first row does.

    Returns:
        The first spelling of every prompt, and how many other spellings it replaces.
    """
    codes, unique = pd.factorize(prompts)
    same, _ = pd.factorize(
        np.array(
            [normalised_prompt(prompt) for prompt in np.asarray(unique, dtype=object)], dtype=object
        )
    )
    first = pd.Series(np.arange(len(unique))).groupby(same).transform("first").to_numpy()
    others = len(unique) - (int(same.max(initial=-1)) + 1)
    if others == 0:
        return prompts.rename("prompt"), 0
    spelled = (
        pd.Series(unique, dtype="str").take(first[codes]).set_axis(prompts.index).rename("prompt")
    )
    return spelled, others


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
    prompt_of, texts = pd.factorize(spelling)
    first = np.empty(len(texts), dtype=np.intp)
    first[prompt_of[::-1]] = np.arange(len(responses))[::-1]
    ids = pd.Series(
        responses["prompt_id"].array.take(first[prompt_of]), responses.index, name="prompt_id"
    )
    seen = ~responses["prompt_id"].duplicated().to_numpy()
    new_id = dict(zip(responses["prompt_id"][seen], ids[seen], strict=True))
    merged = len(responses[["prompt_id", "prompt"]].drop_duplicates()) - len(texts)
    if merged and "prompt_id" in judgements:
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
    if "split" not in responses:
        responses = responses.assign(split=draw_splits(units, params, rng))
    _check_splits(responses, where)
    refuse_contradictions(responses, units, responses["split"], "split", where)
    return responses


def draw_splits(
    units: pd.Series, params: SplitParams, rng: np.random.Generator
) -> NDArray[np.object_]:
    """A split for every row, (n,); all rows of a unit (a prompt, a group) share one."""
    unique = units.drop_duplicates().to_numpy()
    order = rng.permutation(len(unique))
    n_train = max(1, round(len(unique) * params.train))
    n_validation = round(len(unique) * params.validation)
    names = np.array(["test"] * len(unique), dtype=object)
    names[order[:n_train]] = "train"
    names[order[n_train : n_train + n_validation]] = "validation"
    return pd.Series(names, index=unique).reindex(units).to_numpy()


def _check_splits(responses: pd.DataFrame, where: str) -> None:
    unknown = ~responses["split"].isin(SPLITS).to_numpy()
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(
            f"{where}: {place(responses, row)}: unknown split {responses['split'].iloc[row]!r}; use "
            f"{', '.join(SPLITS)}"
        )
    empty = [name for name in SPLITS if not (responses["split"] == name).any()]
    if empty:
        raise InputError(
            f"{where}: the {empty[0]} split is empty ({responses['prompt_id'].nunique()} prompts in all); "
            "change ingest.split or add prompts"
        )
