"""Who judges fresh responses, tried before any training."""

from pathlib import Path

import numpy as np
import pandas as pd

from mopo_pipeline.judges.base import Judge, score
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.parameters.lag import FreshLag

_TRIED = 64


def fresh_judge(
    lag: FreshLag, objectives: tuple[str, ...], preference_model: str | Path | None
) -> Judge:
    """Who judges fresh responses."""
    return judge_named(
        lag.judge, objectives, preference_model=preference_model, reward_models=lag.reward_models
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
    score(judge, tried["prompt"].tolist(), tried["response"].tolist())
    return judge
