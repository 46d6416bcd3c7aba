"""A user's own data: CSV, JSON, JSONL or parquet, rated responses or pairwise labels."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX, chat_prompt

READERS = (".csv", ".json", ".jsonl", ".parquet")
TEXT_COLUMNS = ("prompt", "response_a", "response_b")


def read_files(
    path: Path, judgements_path: Path | None, names: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read responses and, where there are any, pairwise labels.

    Three layouts are understood: rated responses (``prompt``, ``response`` and a column per
    objective), responses with labels of pairs of ids in a second file, and one file of labelled
    pairs of texts (``prompt``, ``response_a``, ``response_b`` and a column per objective). A prompt
    is plain text or a JSON list of chat messages; ids are made where they are absent.

    Args:
        path: responses, or labelled pairs of texts.
        judgements_path: labels of pairs of response ids, or None.
        names: the objectives; a column of this name, or with the prefix ``score_``, rates responses.

    Raises:
        InputError: a missing or unreadable file, with the line; a missing column.
    """
    table = read_table(path)
    if "response" not in table and {"response_a", "response_b"} <= set(table.columns):
        return split_pairs(table, str(path))
    for column in ("prompt", "response"):
        if column not in table:
            raise InputError(
                f"{path}: missing column {column!r}; found {sorted(map(str, table.columns))}. Responses "
                "need prompt and response; labelled pairs need prompt, response_a and response_b"
            )
    table["prompt"] = table["prompt"].map(_stored_prompt)
    if "prompt_id" not in table:
        table["prompt_id"] = _ids(table["prompt"], "p")
    if "response_id" not in table:
        table["response_id"] = [f"r{i}" for i in range(len(table))]
    table = table.rename(columns={n: f"{SCORE_PREFIX}{n}" for n in names if n in table})
    for name in (f"{SCORE_PREFIX}{n}" for n in names):
        if name in table:
            table[name] = _numbers(table[name], f"{path}: column {name}")
    for column in ("prompt_id", "response_id"):
        table[column] = table[column].map(str, na_action="ignore")
    if judgements_path is None:
        return table, pd.DataFrame(columns=[*PAIR_COLUMNS, *names])
    judgements = read_table(judgements_path)
    for column in PAIR_COLUMNS:
        if column in judgements:
            judgements[column] = judgements[column].map(str, na_action="ignore")
    return table, judgements


def split_pairs(pairs: pd.DataFrame, where: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Responses and judgements of a table of labelled pairs of texts.

    Equal texts to one prompt are one response; a pair of equal texts says nothing and is refused.

    Raises:
        InputError: a missing column or text, a pair of equal texts.
    """
    absent = [c for c in TEXT_COLUMNS if c not in pairs]
    if absent:
        raise InputError(f"{where}: missing column {absent[0]!r}; found {sorted(pairs.columns)}")
    for column in TEXT_COLUMNS:
        missing = pairs[column].isna().to_numpy()
        if missing.any():
            raise InputError(
                f"{where}: row {int(missing.argmax())}, column {column}: missing value; fill it or "
                "drop the row"
            )
    equal = (pairs["response_a"] == pairs["response_b"]).to_numpy()
    if equal.any():
        raise InputError(
            f"{where}: row {int(equal.argmax())}: response_a and response_b are the same text; drop it"
        )
    prompts = pairs["prompt"].map(_stored_prompt)
    keys = ["prompt", "response"]
    sides = [
        pd.DataFrame({"prompt": prompts, "response": pairs[side].astype(str)})
        for side in ("response_a", "response_b")
    ]
    responses = pd.concat(sides).sort_index(kind="stable").drop_duplicates(keys, ignore_index=True)
    responses.insert(0, "prompt_id", _ids(responses["prompt"], "p"))
    responses.insert(1, "response_id", [f"r{i}" for i in range(len(responses))])
    if "split" in pairs:
        split_of = dict(zip(prompts, pairs["split"], strict=True))
        responses["split"] = responses["prompt"].map(split_of)
    found = responses.set_index(keys)[["prompt_id", "response_id"]]
    judgements = pairs.drop(columns=[*TEXT_COLUMNS, "prompt_id", "split"], errors="ignore")
    for side, table in zip(("response_a", "response_b"), sides, strict=True):
        ids = found.loc[pd.MultiIndex.from_frame(table)]
        judgements[side] = ids["response_id"].to_numpy()
    judgements["prompt_id"] = ids["prompt_id"].to_numpy()
    return responses, judgements.reset_index(drop=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read one table by its suffix.

    Raises:
        InputError: no such file, an unknown suffix, malformed content with its line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check ingest.path and ingest.judgements_path")
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, keep_default_na=False, na_values=[""])
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            return pd.DataFrame(_read_lines(path))
        if path.suffix == ".json":
            return pd.DataFrame(_read_json(path))
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    raise InputError(f"{path}: unknown suffix {path.suffix!r}; use one of {', '.join(READERS)}")


def _read_json(path: Path) -> list[dict[str, object]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})"
        ) from error
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"{path}: expected a JSON list of objects, one per row")
    return content


def _read_lines(path: Path) -> list[dict[str, object]]:
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}: line {number}: not valid JSON ({error.msg})") from error
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}: line {number}: expected a JSON object, got {line[:40]!r}"
                )
            rows.append(row)
    return rows


def _stored_prompt(prompt: object) -> object:
    if isinstance(prompt, list | np.ndarray):
        return json.dumps([dict(message) for message in prompt], ensure_ascii=False)
    if not isinstance(prompt, str):
        return prompt
    try:
        messages = json.loads(prompt)
    except ValueError:
        return chat_prompt(prompt)
    is_chat = isinstance(messages, list) and messages and isinstance(messages[0], dict)
    return prompt if is_chat else chat_prompt(prompt)


def _ids(keys: pd.Series, prefix: str) -> list[str]:
    return [f"{prefix}{code}" for code in pd.factorize(keys)[0]]


def _numbers(column: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = (numbers.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{where}, row {row}: {column.iloc[row]!r} is not a number")
    return numbers
