"""Published preference data by hub id, or local files of the same schema."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.files import split_pairs
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX, chat_prompt

Tables = tuple[pd.DataFrame, pd.DataFrame]
_TURN = re.compile(r"\n\nHuman:|\n\nAssistant:")


class Schema(NamedTuple):
    """Where a dataset lies, the columns it must have, and how its rows become tables."""

    hub_id: str
    config: str | None
    columns: tuple[str, ...]
    convert: Callable[[pd.DataFrame, tuple[str, ...]], Tables]


def read_hub(params: IngestParams, task: TaskParams) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Read a published dataset; nothing is fetched when ``ingest.path`` names a local file.

    Raises:
        InputError: the dataset cannot be loaded, has other columns, or lacks an objective.
    """
    schema = SCHEMAS[params.source]
    table, where = _load(params, schema)
    for column in schema.columns:
        if column not in table:
            raise InputError(
                f"{where}: missing column {column!r} of the {params.source} schema; found "
                f"{sorted(table.columns)}"
            )
    try:
        responses, judgements = schema.convert(table, task.names)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return responses, judgements, where


def _load(params: IngestParams, schema: Schema) -> tuple[pd.DataFrame, str]:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"ingest.source {params.source!r} needs the datasets library: "
            "pip install 'mopo_pipeline[hub]'"
        ) from error
    try:
        if params.path is not None:
            where = str(params.path)
            if not params.path.is_file():
                raise InputError(f"{where}: no such file; check ingest.path")
            kind = "parquet" if params.path.suffix == ".parquet" else "json"
            loaded = datasets.load_dataset(kind, data_files=where, split="train")
        else:
            where = params.hub_id or schema.hub_id
            loaded = datasets.load_dataset(
                where, schema.config, revision=params.hub_revision, split=params.hub_split
            )
    except (OSError, ValueError, ConnectionError, datasets.exceptions.DatasetGenerationError) as e:
        raise InputError(f"{where} cannot be loaded: {str(e).splitlines()[0]}") from e
    return loaded.to_pandas(), where


def _hh_rlhf(table: pd.DataFrame, names: tuple[str, ...]) -> Tables:
    """Chosen and rejected dialogues of one objective: the task's first."""
    rows = []
    for row, (chosen, rejected) in enumerate(zip(table["chosen"], table["rejected"], strict=True)):
        prompt, better = _last_turn(chosen, row)
        other, worse = _last_turn(rejected, row)
        if prompt == other and better != worse:
            rows.append((prompt, better, worse, 1.0))
    pairs = pd.DataFrame(rows, columns=["prompt", "response_a", "response_b", names[0]])
    for name in names[1:]:
        pairs[name] = float("nan")
    return split_pairs(_balanced(pairs, names), "rows")


def _safe_rlhf(table: pd.DataFrame, names: tuple[str, ...]) -> Tables:
    columns = {"helpfulness": "better_response_id", "harmlessness": "safer_response_id"}
    _require(names, columns)
    pairs = table[["prompt"]].copy()
    pairs["response_a"], pairs["response_b"] = table["response_0"], table["response_1"]
    for name in names:
        pairs[name] = (table[columns[name]] == 0).astype(float)
    return split_pairs(pairs[pairs["response_a"] != pairs["response_b"]], "rows")


def _helpsteer(table: pd.DataFrame, names: tuple[str, ...]) -> Tables:
    rated = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    _require(names, (*rated, "conciseness"))
    scores = table.assign(conciseness=-table["verbosity"])
    return _rated(table["prompt"], table["response"], scores, names)


def _ultrafeedback(table: pd.DataFrame, names: tuple[str, ...]) -> Tables:
    _require(names, ("instruction_following", "honesty", "truthfulness", "helpfulness"))
    rows: list[dict[str, Any]] = []
    for prompt, completions in zip(table["instruction"], table["completions"], strict=True):
        for completion in completions:
            marks = completion["annotations"]
            row = {"prompt": prompt, "response": completion["response"]}
            rows.append(row | {name: _number(marks[name]["Rating"]) for name in names})
    flat = pd.DataFrame(rows, columns=["prompt", "response", *names])
    return _rated(flat["prompt"], flat["response"], flat, names)


def _summarize(table: pd.DataFrame, names: tuple[str, ...]) -> Tables:
    """The ``axis`` configuration: every summary rated on each axis."""
    _require(names, ("overall", "accuracy", "coverage", "coherence"))
    summaries = table["summary"].tolist()
    posts = [info.get("post") or info.get("article") for info in table["info"]]
    marks = pd.DataFrame([[_number(s["axes"].get(n)) for n in names] for s in summaries],
                         columns=list(names))  # fmt: skip
    prompts = pd.Series([f"Summarise this post.\n\n{post}" for post in posts])
    return _rated(prompts, pd.Series([s["text"] for s in summaries]), marks, names)


def _rated(
    prompts: pd.Series, texts: pd.Series, scores: pd.DataFrame, names: tuple[str, ...]
) -> Tables:
    """Responses with ratings; rows with a missing rating are left out, repeated texts kept once."""
    responses = pd.DataFrame({"prompt": prompts.to_numpy(), "response": texts.to_numpy()})
    for name in names:
        responses[f"{SCORE_PREFIX}{name}"] = scores[name].to_numpy(dtype=float)
    responses = responses.dropna().drop_duplicates(["prompt", "response"], ignore_index=True)
    if responses.empty:
        raise InputError(f"no response is rated on all of {list(names)}")
    responses["prompt"] = responses["prompt"].map(chat_prompt)
    responses["prompt_id"] = [f"p{code}" for code in pd.factorize(responses["prompt"])[0]]
    responses["response_id"] = [f"r{i}" for i in range(len(responses))]
    return responses, pd.DataFrame(columns=[*PAIR_COLUMNS, *names])


def _balanced(pairs: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Swap the sides of every other row, so that the winner is not always first."""
    swap = pd.RangeIndex(len(pairs)) % 2 == 1
    swapped = pairs.copy()
    swapped.loc[swap, ["response_a", "response_b"]] = pairs.loc[
        swap, ["response_b", "response_a"]
    ].to_numpy()
    for name in names:
        swapped.loc[swap, name] = 1.0 - pairs.loc[swap, name]
    return swapped


def _last_turn(dialogue: str, row: int) -> tuple[str, str]:
    """Everything before the last answer, as a stored prompt, and that answer."""
    marks = list(_TURN.finditer(dialogue))
    if len(marks) < 2 or not marks[-1].group().endswith("Assistant:"):
        raise InputError(
            f"row {row}: {dialogue[:40]!r}... is no dialogue of '\\n\\nHuman:' and "
            "'\\n\\nAssistant:' turns that ends with the assistant"
        )
    ends = [mark.start() for mark in marks[1:]] + [len(dialogue)]
    turns = [
        {
            "role": "user" if "Human" in mark.group() else "assistant",
            "content": dialogue[mark.end() : end].strip(),
        }
        for mark, end in zip(marks, ends, strict=True)
    ]
    return json.dumps(turns[:-1], ensure_ascii=False), turns[-1]["content"]


def _number(value: Any) -> float:
    return float(pd.to_numeric(value, errors="coerce")) if value is not None else float("nan")


def _require(names: tuple[str, ...], known: Any) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"no labels for objective {unknown[0]!r}; there are {sorted(known)}")


SCHEMAS = {
    "hh_rlhf": Schema("Anthropic/hh-rlhf", None, ("chosen", "rejected"), _hh_rlhf),
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
    "summarize": Schema(
        "openai/summarize_from_feedback", "axis", ("info", "summary"), _summarize
    ),
}  # fmt: skip
"""Every source name of ``parameters.ingest.HUB_SCHEMAS``."""
