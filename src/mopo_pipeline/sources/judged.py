"""Labels where there are none: what a judge makes of candidates, as ratings or as labelled pairs."""

from collections.abc import Iterator
from itertools import combinations
from zlib import crc32

import pandas as pd

from mopo_pipeline.judges.base import Judge, Scorer, differences, preference, score, try_on
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.parameters.ingest import SampledParams
from mopo_pipeline.sources.raw import no_judgements
from mopo_pipeline.tables import PAIR_COLUMNS, SCORE_PREFIX, chat_prompt

TRIED = "What is missing shows here, before minutes of sampling."


def judge_of_candidates(size: SampledParams, objectives: tuple[str, ...]) -> Judge:
    """The judge that parameters name, tried on one answer.

    Raises:
        InputError: it lacks an objective, or cannot judge.
    """
    judge = judge_named(size.judge, objectives, reward_models=size.reward_models, chat=size.chat)
    try_on(judge, [chat_prompt("Why?")], [TRIED])
    return judge


def judged_candidates(
    judge: Judge, responses: pd.DataFrame, most_pairs: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Responses with a rating for each objective, or pairs of them with labels, whichever the judge can give.

    Args:
        judge: scores responses, or compares two of them.
        responses: prompt_id, response_id, prompt and response.
        most_pairs: pairs of a prompt that are compared, chosen by their texts and no draw.

    Returns:
        Responses, with ``score_`` columns of a judge that scores, and judgements: those of a judge that
        compares, each label the probability in [0, 1] that the first response is the better one.
    """
    if isinstance(judge, Scorer):
        scores = score(judge, responses["prompt"].tolist(), responses["response"].tolist())
        columns = {f"{SCORE_PREFIX}{name}": scores[:, k] for k, name in enumerate(judge.objectives)}
        return responses.assign(**columns), no_judgements(judge.objectives)
    texts = responses.set_index("response_id")["response"]
    prompts = responses.set_index("response_id")["prompt"]
    table = pd.DataFrame(_pairs(responses, most_pairs), columns=list(PAIR_COLUMNS))
    first, second = (texts.loc[table[side]].tolist() for side in ("response_a", "response_b"))
    gaps = differences(judge, prompts.loc[table["response_a"]].tolist(), first, second)
    labels = preference(gaps, 0.0 * gaps, judge.link)
    return responses, table.assign(
        **{name: labels[:, k] for k, name in enumerate(judge.objectives)}
    )


def _pairs(responses: pd.DataFrame, most: int) -> Iterator[tuple[str, str, str]]:
    """At most so many pairs of different answers to each prompt."""
    for prompt_id, rows in responses.groupby("prompt_id", sort=False):
        said = rows.drop_duplicates("response")
        pairs = combinations(zip(said["response_id"], said["response"], strict=True), 2)
        ranked = sorted(
            pairs, key=lambda pair: (crc32(f"{pair[0][1]}\0{pair[1][1]}".encode()), pair)
        )
        yield from sorted((str(prompt_id), a[0], b[0]) for a, b in ranked[:most])
