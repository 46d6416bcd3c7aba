"""Nodes of the preferences stage."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.streams import Stream, generator

log = logging.getLogger(__name__)


def build_comparisons(
    responses: pd.DataFrame, judgements: pd.DataFrame, task: TaskParams, params: PreferencesParams
) -> pd.DataFrame:
    """One row per compared pair, one label per objective."""
    from mopo_pipeline.preferences import build

    rng = generator(task.seed, Stream.PAIRS)
    return build.build_comparisons(responses, judgements, params.labels, task.names, rng)


def report_preferences(
    judgements: pd.DataFrame, comparisons: pd.DataFrame, task: TaskParams
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Quality of the labels per objective, and how far objectives agree; warns where one side always wins."""
    from mopo_pipeline.preferences import report

    quality = report.quality_report(judgements, comparisons, task.names)
    for told in report.one_sided(quality):
        log.warning("%s", told)
    return quality, report.agreement_matrix(comparisons, task.names)


def estimate_win_rates(
    responses: pd.DataFrame, comparisons: pd.DataFrame, task: TaskParams, params: PreferencesParams
) -> tuple[pd.DataFrame, pd.DataFrame, Path, dict[str, Any]]:
    """Win rate of every response, predictions for every comparison, the model and its calibration."""
    from mopo_pipeline.language.sealed import handed_over
    from mopo_pipeline.preferences import estimate

    estimated = estimate.estimate_win_rates(
        responses, comparisons, params.win_rates, task.names, task.seed
    )
    directory = handed_over("preference-model-")
    if estimated.model is not None:
        estimated.model.save(directory)
    else:
        (directory / "none.json").write_text(
            f'{{"method": "{params.win_rates.method}"}}', encoding="utf-8"
        )
    return estimated.win_rates, estimated.predictions, directory, estimated.metrics
