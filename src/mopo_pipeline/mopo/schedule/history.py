"""What a run recorded, as a table: the one place where the method meets pandas, and only when asked."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Table: TypeAlias = "pd.DataFrame"


def as_table(records: Iterable[Mapping[str, float]]) -> Table:
    """One row per record, one column per name."""
    import pandas as pd

    return pd.DataFrame.from_records([dict(record) for record in records])
