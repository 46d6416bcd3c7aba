"""Who judges fresh responses, tried before any training."""

from pathlib import Path

import pandas as pd

from mopo_pipeline.judges.base import Judge, score
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.parameters.lag import FreshLag


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
) -> None:
    """Judge the first response of the data, so that a judge that can't fails before any training.

    Raises:
        InputError: says what the judge lacks.
    """
    first = rows.iloc[:1]
    score(
        fresh_judge(lag, objectives, preference_model),
        first["prompt"].tolist(),
        first["response"].tolist(),
    )
