"""One entry point for every source: read, check, split by prompt, count what was left out."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mopo_pipeline.alike import positions, text_hashes
from mopo_pipeline.columns import label_column
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.lengths import ENDED
from mopo_pipeline.paged import repeated, taken_rows
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import HUB_SCHEMAS, IngestParams
from mopo_pipeline.sources.counting import (
    account,
    repeated_pairs,
    table_facts,
    tell_other_spellings,
    tell_repeats,
    text_facts,
    told,
)
from mopo_pipeline.sources.marks import tell_marks
from mopo_pipeline.sources.pairs import SIDES
from mopo_pipeline.sources.prompts import (
    merge_prompts,
    tell_divided_groups,
    tell_known_questions,
    with_splits,
)
from mopo_pipeline.sources.raw import Counts, RawTables, Unit, no_judgements
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.tables import (
    PAIR_COLUMNS,
    RESPONSE_COLUMNS,
    SCORE_PREFIX,
    validate_judgements,
    validate_responses,
)


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
    dropped: dict[Unit, Counts] = {"responses": {}, "pairs": {}}
    dropped.update(raw.dropped)
    responses = validate_responses(raw.responses, raw.where)
    responses, judgements, same = merge_prompts(responses, raw.judgements)
    raw = replace(raw, responses=pd.DataFrame(), judgements=pd.DataFrame())
    merged = {"other ids or spellings of a prompt": same} | raw.merged
    if not judgements.empty:
        judgements = validate_judgements(judgements, responses, task.names, raw.labels_where)
        two_files = params.judgements_path is not None
        judgements, useless = _useful(judgements, responses if two_files else None, task.names)
        dropped["pairs"] = dropped["pairs"] | useless
    if params.limit is not None:
        kept = responses["prompt_id"].drop_duplicates().iloc[: params.limit]
        for unit, table in _units(responses, judgements).items():
            beyond = {f"{unit} beyond ingest.limit": int((~table["prompt_id"].isin(kept)).sum())}
            dropped[unit] = dropped[unit] | beyond
        responses, judgements = (
            taken_rows(table, np.flatnonzero(table["prompt_id"].isin(kept)))
            for table in (responses, judgements)
        )
    source = repeated(params.source, len(responses))
    responses = with_splits(responses, params.split, rng, raw.where).assign(source=source)
    if params.source != "pocket":
        tell_divided_groups(responses, raw.where)
        tell_known_questions(responses, raw.where)
    texts = text_facts(responses, raw.where)
    if params.source != "pocket":
        tell_marks(responses, raw.where)
    responses, judgements = _shared_columns(responses, judgements, task.names)
    tell_other_spellings(judgements["annotator"], "annotators", raw.labels_where)
    if "group" in responses:
        tell_other_spellings(responses["group"], "groups", raw.where)
    kept_rows = {unit: len(table) for unit, table in _units(responses, judgements).items()}
    report = table_facts(responses, judgements, raw.where) | texts | raw.facts
    report["split_by"] = params.split.by
    places: dict[Unit, str] = {"responses": raw.where, "pairs": raw.labels_where}
    report["rows"] = {
        unit: account(places[unit], {unit: read}, kept_rows, dropped)[unit]
        for unit, read in raw.read.items()
    }
    report["repeated_pairs"] = repeats = repeated_pairs(judgements, task.names)
    if params.source != "pocket":
        tell_repeats(repeats["repeated"], judgements, raw.labels_where)
    report["dropped"] = {
        reason: count
        for unit, where in places.items()
        for reason, count in told("dropped", dropped[unit], where).items()
    }
    report["merged"] = told("merged", merged, raw.where)
    return SourceData(responses, judgements, report)


def _units(responses: pd.DataFrame, judgements: pd.DataFrame) -> dict[Unit, pd.DataFrame]:
    return {"responses": responses, "pairs": judgements}


def _useful(
    judgements: pd.DataFrame, responses: pd.DataFrame | None, names: tuple[str, ...]
) -> tuple[pd.DataFrame, Counts]:
    """Judgements that say something, and how many were left out by their reasons.

    Args:
        judgements: checked.
        responses: what their ids stand for, where two of them may have one text; None where none can.
        names: the objectives.
    """
    unlabelled = judgements[list(names)].isna().all(axis=1).to_numpy()
    counts = {"pairs without a label": int(unlabelled.sum())}
    weightless = (judgements["weight"] == 0).to_numpy() & ~unlabelled
    counts["pairs of weight 0"] = int(weightless.sum())
    useless = unlabelled | weightless
    if responses is not None:
        said = text_hashes(responses["response"])
        a, b = (said[positions(judgements[side], responses["response_id"])] for side in SIDES)
        equal = (a == b) & ~useless
        counts["pairs of equal responses"] = int(equal.sum())
        useless = useless | equal
    if useless.any():
        judgements = taken_rows(judgements, np.flatnonzero(~useless))
    return judgements, counts


def _read(params: IngestParams, task: TaskParams, rng: np.random.Generator) -> RawTables:
    if params.source == "pocket":
        from mopo_pipeline.pocket import task as pocket

        pocket.places(task.names)
        size = params.pocket
        responses, pairs = pocket.generate(
            size.n_prompts, size.n_responses, size.n_comparisons, rng, task.names
        )
        read: dict[Unit, int] = {"responses": len(responses), "pairs": len(pairs)}
        return RawTables(responses, pairs, "pocket task", "pocket task", read)
    if params.source == "sampled":
        from mopo_pipeline.sources.sampled import read_sampled

        return read_sampled(params, task)
    if params.source in HUB_SCHEMAS:
        from mopo_pipeline.sources.hub import read_hub

        return read_hub(params, task)
    if params.path is None and not (params.source == "files" and params.parts):
        raise InputError(f"ingest.source {params.source!r} needs ingest.path")
    if params.source == "topical_chat" and params.path is not None:
        from mopo_pipeline.sources.topical_chat import read_topical_chat

        return read_topical_chat(params.path, task.names)
    from mopo_pipeline.sources.files import read_files

    return read_files(params, task.names)


def _shared_columns(
    responses: pd.DataFrame, judgements: pd.DataFrame, names: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns later stages know; what else a file holds could only collide with theirs."""
    if judgements.empty:
        judgements = no_judgements(names).assign(weight=1.0)
    if "annotator" not in judgements:
        judgements = judgements.assign(annotator=repeated("", len(judgements)))
    annotators = label_column(judgements["annotator"])
    kept = ["group", ENDED, *(SCORE_PREFIX + name for name in names)]
    if ENDED in responses:
        # Of several files one may say it: answers of the others were ended.
        responses = responses.assign(**{ENDED: responses[ENDED].ne(False)})
    shared = [*RESPONSE_COLUMNS, *(column for column in kept if column in responses)]
    return (
        responses[shared].reset_index(drop=True),
        judgements[[*PAIR_COLUMNS, *names, "weight"]]
        .assign(annotator=annotators)
        .reset_index(drop=True),
    )
