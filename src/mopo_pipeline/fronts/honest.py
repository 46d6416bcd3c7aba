"""Runs that were trained on what they would be tested on are left out."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.fronts.jobs import DONE, FAILED
from mopo_pipeline.fronts.overrides import moving

log = logging.getLogger(__name__)

RESPONSES = Path("03_primary") / "responses.parquet"


def honest(
    run: Mapping[str, Any], setting: Mapping[str, Any], asked: Collection[str]
) -> tuple[str, str]:
    """Status of a run and why it is not done: failed where its training or its looks met prompts that all are valued on.

    Args:
        run: how it ended.
        setting: what it changes, keys written in full.
        asked: the prompts.
    """
    moved = moving(setting)
    if run["status"] != DONE or not moved:
        return run["status"], run["reason"]
    own = pd.read_parquet(Path(run["folder"]) / RESPONSES, columns=["prompt", "split"])
    met = own.loc[(own["split"] != "test") & own["prompt"].isin(list(asked)), "prompt"].nunique()
    if not met:
        return run["status"], run["reason"]
    return FAILED, (
        f"{', '.join(moved)} drew the splits anew: its training or validation split holds {met} of the "
        f"{len(set(asked))} test prompts that all are valued on; give the data a column split, or compare seeds by front.seeds"
    )


def warn_of_moving(name: str, setting: Mapping[str, Any]) -> None:
    """Say before the training that a run of this setting, keys written in full, may be left out."""
    if moved := moving(setting):
        log.warning(
            "%s: where %s draws the splits anew, its training holds test prompts that all are valued on, and it is left out "
            "of the comparison; whole fronts of other seeds are front.seeds",
            name,
            ", ".join(moved),
        )
