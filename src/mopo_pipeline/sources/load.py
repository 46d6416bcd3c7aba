"""One entry point for every source: read, check, split by prompt."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import HUB_SCHEMAS, IngestParams
from mopo_pipeline.tables import SPLITS, validate_judgements, validate_responses


class SourceData(NamedTuple):
    """Responses, native pairwise labels (possibly none) and facts about both."""

    responses: pd.DataFrame
    judgements: pd.DataFrame
    report: dict[str, object]


def load_source(params: IngestParams, task: TaskParams) -> SourceData:
    """Read the configured source, check it, and split it by prompt.

    Raises:
        InputError: the source cannot be used; the message names file, row, column and remedy.
    """
    rng = np.random.default_rng([task.seed, 1])
    responses, judgements, where = _read(params, task, rng)
    responses = validate_responses(responses, where)
    if params.limit is not None:
        kept = responses["prompt_id"].drop_duplicates().iloc[: params.limit]
        responses = responses[responses["prompt_id"].isin(kept)].reset_index(drop=True)
        judgements = judgements[judgements["prompt_id"].isin(kept)].reset_index(drop=True)
    if not judgements.empty:
        judgements = validate_judgements(judgements, responses, task.names, where)
    if "split" not in responses:
        responses["split"] = split_prompts(responses["prompt_id"], params, rng)
    _check_splits(responses, where)
    responses["source"] = params.source
    for column, default in (("annotator", ""), ("weight", 1.0)):
        if column not in judgements:
            judgements[column] = default
    return SourceData(responses, judgements, _report(responses, judgements, where))


def split_prompts(
    prompt_ids: pd.Series, params: IngestParams, rng: np.random.Generator
) -> np.ndarray:
    """A split for every row; all rows of a prompt share one.

    Raises:
        InputError: too few prompts to give every split one.
    """
    unique = prompt_ids.drop_duplicates().to_numpy()
    order = rng.permutation(len(unique))
    n_train = max(1, round(len(unique) * params.split.train))
    n_validation = round(len(unique) * params.split.validation)
    names = np.array(["test"] * len(unique), dtype=object)
    names[order[:n_train]] = "train"
    names[order[n_train : n_train + n_validation]] = "validation"
    return pd.Series(names, index=unique).reindex(prompt_ids).to_numpy()


def _read(
    params: IngestParams, task: TaskParams, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    if params.source == "pocket":
        from mopo_pipeline.sources import pocket

        if unknown := sorted(set(task.names) - set(pocket.OBJECTIVES)):
            raise InputError(
                f"the pocket task has no objective {unknown[0]!r}; it has {list(pocket.OBJECTIVES)}"
            )
        size = params.pocket
        return (
            *pocket.generate(size.n_prompts, size.n_responses, size.n_comparisons, rng),
            "pocket task",
        )
    if params.source == "sampled":
        from mopo_pipeline.sources.sampled import read_sampled

        return read_sampled(params, task)
    if params.source in HUB_SCHEMAS:
        from mopo_pipeline.sources.hub import read_hub

        return read_hub(params, task)
    if params.path is None:
        raise InputError(f"ingest.source {params.source!r} needs ingest.path")
    if params.source == "topical_chat":
        from mopo_pipeline.sources.topical_chat import read_topical_chat

        return (*read_topical_chat(params.path, task.names), str(params.path))
    from mopo_pipeline.sources.files import read_files

    return (*read_files(params.path, params.judgements_path, task.names), str(params.path))


def _check_splits(responses: pd.DataFrame, where: str) -> None:
    unknown = sorted(set(responses["split"]) - set(SPLITS))
    if unknown:
        raise InputError(f"{where}: unknown split {unknown[0]!r}; use {', '.join(SPLITS)}")
    crossing = responses.groupby("prompt_id")["split"].nunique()
    if (crossing > 1).any():
        raise InputError(f"{where}: prompt {crossing.idxmax()!r} stands in more than one split")
    empty = [name for name in SPLITS if not (responses["split"] == name).any()]
    if empty:
        raise InputError(
            f"{where}: the {empty[0]} split is empty ({responses['prompt_id'].nunique()} prompts in all); "
            "change ingest.split or add prompts"
        )


def _report(responses: pd.DataFrame, judgements: pd.DataFrame, where: str) -> dict[str, object]:
    per_prompt = responses.groupby("prompt_id").size()
    return {
        "source": where,
        "prompts": {
            s: int(responses.loc[responses["split"] == s, "prompt_id"].nunique()) for s in SPLITS
        },
        "responses": {s: int((responses["split"] == s).sum()) for s in SPLITS},
        "judgements": len(judgements),
        "responses_per_prompt": {"min": int(per_prompt.min()), "max": int(per_prompt.max())},
        "prompts_with_one_response": int((per_prompt == 1).sum()),
        "words_per_response": float(responses["response"].str.split().str.len().mean()),
        "empty_responses": int((responses["response"].str.strip() == "").sum()),
    }
