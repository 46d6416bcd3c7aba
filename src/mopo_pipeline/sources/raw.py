"""What a source gives before it is checked, and what it left out on the way."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from mopo_pipeline.tables import PAIR_COLUMNS

Counts = dict[str, int]
"""Rows by reason; reasons without a row are left out."""

RANK_PREFIX = "rank_"
"""Before the name of an objective: a column whose lowest value is the best."""

Unit = Literal["responses", "pairs"]
"""What the rows of a source are."""

PROMPT_COLUMNS = ("split", "group")
"""What a file may say of a prompt: its split, and the group that splits must not divide."""


@dataclass(frozen=True)
class Rows:
    """Rows of one file in one of two forms, texts read and numbers checked, each with its place.

    Attributes:
        unit: ``pairs`` have response_a and response_b and perhaps a label for each objective, a weight
            and an annotator; ``responses`` have response and perhaps ``score_`` columns and ids. Both
            have a stored prompt and perhaps split and group.
        table: the rows; its index says where they stand.
        where: the file.
        read: how many rows the file has, at least those of the table.
        dropped: rows left out already, by reason.
        merged: rows taken together with an earlier one, by reason.
    """

    unit: Unit
    table: pd.DataFrame
    where: str
    read: int
    dropped: Counts = field(default_factory=dict)
    merged: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class RawTables:
    """Tables as read, with indices that say where their rows stand.

    Attributes:
        responses: prompt_id, response_id, prompt (stored), response; perhaps split, group and
            ``score_`` columns.
        judgements: labelled pairs of response ids; without rows where ratings are the labels.
        where: the file or source of the responses, in messages.
        labels_where: that of the judgements.
        read: rows the source has, of each unit that it has; what is kept of them stands in the tables.
        dropped: rows left out, by unit and reason.
        merged: rows taken together with an earlier one, by reason.
        facts: what else was found, for the report.
    """

    responses: pd.DataFrame
    judgements: pd.DataFrame
    where: str
    labels_where: str
    read: dict[Unit, int]
    dropped: dict[Unit, Counts] = field(default_factory=dict)
    merged: Counts = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


def no_judgements(names: tuple[str, ...]) -> pd.DataFrame:
    """A table of judgements without rows."""
    return pd.DataFrame(columns=[*PAIR_COLUMNS, *names])
