"""Who judges fresh responses, tried before any training, and what it says of the data's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.judges.base import Judge, ReadsInPart, try_on, win_rates_against
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.language.lengths import tell
from mopo_pipeline.language.reading import count_read_in_part, told_in_part
from mopo_pipeline.parameters.base import OF_MODEL
from mopo_pipeline.parameters.lag import FreshLag

_TRIED = 64

OF_WIN_RATES = "preference_model"
"""The judge that made the win rates, of which these tell what it reads in part."""


def fresh_judge(
    lag: FreshLag, objectives: tuple[str, ...], preference_model: str | Path | None
) -> Judge:
    """Who judges fresh responses."""
    return judge_named(
        lag.judge,
        objectives,
        preference_model=preference_model,
        reward_models=lag.reward_models,
        chat=lag.chat,
    )


def try_judge(
    lag: FreshLag,
    objectives: tuple[str, ...],
    preference_model: str | Path | None,
    rows: pd.DataFrame,
) -> Judge:
    """Judge responses of the data from the shortest to the longest, so that a judge that can't fails before any training.

    Returns:
        The judge.

    Raises:
        InputError: says what the judge lacks, or on which prompt and answer it gives no number.
    """
    order = rows["response"].str.len().to_numpy().argsort(kind="stable")
    tried = rows.iloc[order[np.unique(np.linspace(0, len(order) - 1, _TRIED).astype(int))]]
    judge = fresh_judge(lag, objectives, preference_model)
    try_on(judge, tried["prompt"].tolist(), tried["response"].tolist())
    return judge


def judged_win_rates(
    judge: Judge, lag: FreshLag, rows: pd.DataFrame, win_rates: pd.DataFrame
) -> Array:
    """What the judge of fresh responses says of the training rows, (N, K): the scale on which the policy will be seen.

    The preference model says it by the folds that saw none of a row's labels; any other judge is asked.
    """
    own = [f"{name}{OF_MODEL}" for name in judge.objectives]
    if lag.judge == OF_WIN_RATES and set(own) <= set(win_rates):
        known = win_rates.set_index("response_id").loc[rows["response_id"], own]
        return known.to_numpy(dtype=np.float64)
    answers = rows.groupby("prompt")["response"].agg(list)
    opponents = answers.reindex(rows["prompt"]).tolist()
    return win_rates_against(judge, rows["prompt"].tolist(), rows["response"].tolist(), opponents)


def told_of_judge(judge: Judge, lag: FreshLag, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What the judge reads in part of the training answers, which fresh ones are held against, told; JSON-ready."""
    if lag.judge == OF_WIN_RATES or not isinstance(judge, ReadsInPart):
        return []
    counts = count_read_in_part(judge.read_in_part, {"train": rows})
    tell(found := told_in_part("judge of fresh answers", counts))
    return [finding.as_dict() for finding in found]
