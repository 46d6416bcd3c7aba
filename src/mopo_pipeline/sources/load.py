"""One entry point for every source: read, check, split by prompt, count what was left out."""

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import HUB_SCHEMAS, IngestParams
from mopo_pipeline.sources.prompts import merge_prompts, with_splits
from mopo_pipeline.sources.raw import Counts, RawTables, no_judgements
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.tables import (
    PAIR_COLUMNS,
    RESPONSE_COLUMNS,
    SCORE_PREFIX,
    SPLITS,
    validate_judgements,
    validate_responses,
)

log = logging.getLogger(__name__)


class SourceData(NamedTuple):
    """Responses, native pairwise labels (possibly none) and facts about both."""

    responses: pd.DataFrame
    judgements: pd.DataFrame
    report: dict[str, object]


def load_source(params: IngestParams, task: TaskParams) -> SourceData:
    """Read the configured source, check it, and split it by prompt.

    Every row dropped or merged is counted by its reason in the report and told in the log.

    Raises:
        InputError: the source cannot be used; the message names file, row, column and remedy.
    """
    rng = generator(task.seed, Stream.SPLITS)
    raw = _read(params, task, rng)
    dropped, merged = dict(raw.dropped), dict(raw.merged)
    responses = validate_responses(raw.responses, raw.where)
    responses, judgements, same = merge_prompts(responses, raw.judgements)
    merged["other ids or spellings of a prompt"] = same
    if not judgements.empty:
        judgements = validate_judgements(judgements, responses, task.names, raw.labels_where)
        unlabelled = judgements[list(task.names)].isna().all(axis=1)
        dropped["pairs without a label"] = int(unlabelled.sum())
        judgements = judgements.loc[~unlabelled]
    if params.limit is not None:
        kept = responses["prompt_id"].drop_duplicates().iloc[: params.limit]
        beyond = ~responses["prompt_id"].isin(kept)
        dropped["responses beyond ingest.limit"] = int(beyond.sum())
        responses = responses.loc[~beyond]
        judgements = judgements.loc[judgements["prompt_id"].isin(kept)]
    responses = with_splits(responses, params.split, rng, raw.where).assign(source=params.source)
    responses, judgements = _shared_columns(responses, judgements, task.names)
    report = _report(responses, judgements, raw.where)
    report["split_by"] = params.split.by
    for name, counts in (("dropped", dropped), ("merged", merged)):
        report[name] = _told(name, counts, raw.where)
    return SourceData(responses, judgements, report)


def _read(params: IngestParams, task: TaskParams, rng: np.random.Generator) -> RawTables:
    if params.source == "pocket":
        from mopo_pipeline.pocket import task as pocket

        if unknown := sorted(set(task.names) - set(pocket.OBJECTIVES)):
            raise InputError(
                f"the pocket task has no objective {unknown[0]!r}; it has {list(pocket.OBJECTIVES)}"
            )
        size = params.pocket
        tables = pocket.generate(size.n_prompts, size.n_responses, size.n_comparisons, rng)
        return RawTables(*tables, "pocket task", "pocket task")
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

        return read_topical_chat(params.path, task.names)
    from mopo_pipeline.sources.files import read_files

    return read_files(params.path, params.judgements_path, task.names)


def _shared_columns(
    responses: pd.DataFrame, judgements: pd.DataFrame, names: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns later stages know; what else a file holds could only collide with theirs."""
    if judgements.empty:
        judgements = no_judgements(names).assign(weight=1.0)
    if "annotator" not in judgements:
        judgements = judgements.assign(annotator="")
    annotators = judgements["annotator"].map(str, na_action="ignore").fillna("")
    kept = ["group", "ended", *(SCORE_PREFIX + name for name in names)]
    shared = [*RESPONSE_COLUMNS, *(column for column in kept if column in responses)]
    return (
        responses[shared].reset_index(drop=True),
        judgements[[*PAIR_COLUMNS, *names, "weight"]]
        .assign(annotator=annotators)
        .reset_index(drop=True),
    )


def _told(kind: str, counts: Counts, where: str) -> Counts:
    found = {reason: count for reason, count in counts.items() if count > 0}
    for reason, count in found.items():
        log.warning("%s: %s %d: %s", where, kind, count, reason)
    return found


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
        "words_per_response": float(np.mean([len(text.split()) for text in responses["response"]])),
        "empty_responses": int((responses["response"].str.strip() == "").sum()),
    }
