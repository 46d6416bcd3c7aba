"""What a source gives before it is checked, and what it left out on the way."""

from dataclasses import dataclass, field

import pandas as pd

from mopo_pipeline.tables import PAIR_COLUMNS

Counts = dict[str, int]
"""Rows by reason; reasons without a row are left out."""


@dataclass(frozen=True)
class RawTables:
    """Tables as read, with indices that say where their rows stand.

    Attributes:
        responses: prompt_id, response_id, prompt (stored), response; perhaps split, group and
            ``score_`` columns.
        judgements: labelled pairs of response ids; without rows where ratings are the labels.
        where: the file or source of the responses, in messages.
        labels_where: that of the judgements.
        dropped: rows left out, by reason.
        merged: rows taken together with an earlier one, by reason.
    """

    responses: pd.DataFrame
    judgements: pd.DataFrame
    where: str
    labels_where: str
    dropped: Counts = field(default_factory=dict)
    merged: Counts = field(default_factory=dict)


def no_judgements(names: tuple[str, ...]) -> pd.DataFrame:
    """A table of judgements without rows."""
    return pd.DataFrame(columns=[*PAIR_COLUMNS, *names])
