"""Nodes of the ingest stage."""

from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams


def ingest_source(
    task: TaskParams, params: IngestParams
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read and check the configured source; split it by prompt."""
    from mopo_pipeline.sources.load import load_source

    responses, judgements, report = load_source(params, task)
    return responses, judgements, report
