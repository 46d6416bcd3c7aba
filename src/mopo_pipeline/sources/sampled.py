"""Candidates drawn from the model that will be tuned, judged by rules anyone can check or by whom the user names."""

import logging
from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import pandas as pd

from mopo_pipeline.columns import convert_column
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Judge, ReadsInPart
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams, SampledParams
from mopo_pipeline.sources.judged import judge_of_candidates, judged_candidates
from mopo_pipeline.sources.messages import stored_prompt, written_once
from mopo_pipeline.sources.parts import renamed
from mopo_pipeline.sources.prompts import same_prompts
from mopo_pipeline.sources.raw import RawTables
from mopo_pipeline.sources.reading import read_table
from mopo_pipeline.streams import candidate_seed

if TYPE_CHECKING:
    from mopo_pipeline.language.generation import Answer

HELD_BACK = "held back by a filter of the endpoint"

log = logging.getLogger(__name__)


def read_sampled(params: IngestParams, task: TaskParams) -> RawTables:
    """Sample responses to prompts and have them judged: rated one by one, or compared two by two.

    The prompts are those shipped with the project, or ``ingest.path``: a table with a column
    ``prompt``. Returns responses with ``ended`` (whether the model ended the answer before it was cut), and ``score_``
    columns or judgements (``judged_candidates``).

    Raises:
        InputError: no model named, no such prompts, an objective that the judge does not know.
    """
    from mopo_pipeline.language.engines.choose import draw
    from mopo_pipeline.language.lengths import ENDED, cut_finding, tell
    from mopo_pipeline.language.loading import load_model

    size = params.sampled
    if size is None:
        raise InputError("ingest.source 'sampled' needs ingest.sampled with a model")
    judge = judge_of_candidates(size, task.names)
    there, repeated = _prompts(params)
    prompts = there[: params.limit]
    if beyond := len(there) - len(prompts):
        log.warning("%d of %d prompts are left out: beyond ingest.limit", beyond, len(there))
    drawn = draw(
        size.engine,
        size.model,
        partial(load_model, size.model),
        prompts,
        served=size.engine.served,
        n=size.n_responses,
        max_new_tokens=size.max_new_tokens,
        temperature=size.temperature,
        top_p=size.top_p,
        seed=candidate_seed(task.seed),
        batch_size=size.batch_size,
        description="sampling candidates",
    )
    responses = _told(drawn, prompts, size)
    read = sum(map(len, drawn))
    cut = ~responses[ENDED].to_numpy(dtype=bool)
    tell(cut_finding(cut, "sampled answers", "raise ingest.sampled.max_new_tokens"))
    responses, judgements = judged_candidates(judge, responses, size.pairs)
    where = f"{size.model}, sampled"
    if cut.any():
        where += f", {int(cut.sum())} of {len(cut)} answers cut at {size.max_new_tokens} tokens"
    return RawTables(
        responses,
        judgements,
        where,
        f"{where}, labelled by judge {size.judge}",
        read={"responses": read, "pairs": len(judgements)},
        dropped={"responses": {HELD_BACK: read - len(cut)}},
        merged={"repeated prompts": repeated},
        facts={"prompts_beyond_limit": beyond} | _read_in_part(judge, responses),
    )


def _told(drawn: list[list["Answer"]], prompts: list[str], size: SampledParams) -> pd.DataFrame:
    """Answers that no filter held back.

    Raises:
        InputError: it held back all.
    """
    from mopo_pipeline.language.lengths import ENDED

    rows = [
        (f"prompt{i:03d}", f"prompt{i:03d}-{j}", prompts[i], answer.text, answer.ended)
        for i, answers in enumerate(drawn)
        for j, answer in enumerate(answers)
        if not answer.withheld
    ]
    if not rows:
        raise InputError(
            f"a filter of the endpoint held back all {sum(map(len, drawn))} answers of {size.engine.served}: use a server "
            "without it"
        )
    return pd.DataFrame(rows, columns=["prompt_id", "response_id", "prompt", "response", ENDED])


def _read_in_part(judge: Judge, responses: pd.DataFrame) -> dict[str, object]:
    """How many answers the judge gave labels to by a part of them; empty where it does not say."""
    if not isinstance(judge, ReadsInPart):
        return {}
    from mopo_pipeline.language.reading import count_read_in_part

    return {"read_in_part": count_read_in_part(judge.read_in_part, {"labelled": responses})}


def _prompts(params: IngestParams) -> tuple[list[str], int]:
    """Stored prompts of the file, each once, and how many rows repeat one."""
    if params.path is not None:
        table, where = read_table(params.path, params.hub_split), params.path
        table = renamed(table, params.columns, where)
    else:
        with as_file(files("mopo_pipeline.sources") / "prompts.jsonl") as shipped:
            table, where = read_table(shipped), "the shipped prompts"
    if "prompt" not in table:
        raise InputError(f"{where}: missing column 'prompt'; found {sorted(table.columns)}")
    table = written_once(table, ["prompt"], where)
    stored = pd.Series(convert_column(table, "prompt", where, stored_prompt), dtype=object)
    prompts = same_prompts(stored)[0].drop_duplicates().tolist()
    return prompts, len(stored) - len(prompts)
