"""Several files read as one: columns named anew, places that name their file, weights."""

from collections import Counter

import pandas as pd

from mopo_pipeline.columns import nearest, place
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams, PartParams
from mopo_pipeline.sources.raw import Rows


def parts_of(params: IngestParams) -> dict[str, PartParams]:
    """The files of a source by name; one without a name where ``ingest.parts`` is empty."""
    if params.parts:
        return params.parts
    alone = PartParams(
        path=params.path, chosen=params.chosen, hub_data_dir=params.hub_data_dir, weight=1.0
    )
    return {"": alone}


def renamed(table: pd.DataFrame, columns: dict[str, str], where: str) -> pd.DataFrame:
    """Columns under the names they are asked for by; one that had the name before is left out.

    Args:
        table: columns as the file has them.
        columns: name here to name in the file.
        where: the file.

    Raises:
        InputError: the file has no such column.
    """
    for name in columns.values():
        if name not in table:
            raise InputError(
                f"{where}: ingest.columns names {name!r}, which is no column{nearest(name, table.columns)}; "
                f"found {sorted(map(str, table.columns))}"
            )
    taken = {here: table[there] for here, there in columns.items()}
    rest = table.drop(columns=list({*columns, *columns.values()}), errors="ignore")
    return rest.assign(**taken)


def weighted(rows: Rows, weight: float, name: str) -> Rows:
    """Rows whose labels count ``weight`` times.

    Raises:
        InputError: rows of ratings, which are compared before anything is weighed.
    """
    if weight == 1.0:
        return rows
    if rows.unit != "pairs":
        raise InputError(
            f"{rows.where}: ingest.parts.{name}.weight is {weight:g}, but ratings have no weight; leave it out"
        )
    own = rows.table["weight"].fillna(1.0) if "weight" in rows.table else 1.0
    return Rows(
        rows.unit,
        rows.table.assign(weight=own * weight),
        rows.where,
        rows.read,
        rows.dropped,
        rows.merged,
    )


def joined(found: list[Rows]) -> Rows:
    """Rows of all files in one table, each with its file in its place.

    Raises:
        InputError: pairs in one file and ratings in another.
    """
    first = found[0]
    if len(found) == 1:
        return first
    for other in found:
        if other.unit != first.unit:
            raise InputError(
                f"{other.where} holds {other.unit}, {first.where} {first.unit}; read them in two runs"
            )
    tables = [
        part.table.set_axis(
            pd.Index(
                [f"{place(part.table, i)} of {part.where}" for i in range(len(part.table))],
                name="place",
            )
        )
        for part in found
    ]
    dropped, merged = Counter[str](), Counter[str]()
    for part in found:
        dropped.update(part.dropped)
        merged.update(part.merged)
    return Rows(
        first.unit,
        pd.concat(tables),
        ", ".join(part.where for part in found),
        sum(part.read for part in found),
        dict(dropped),
        dict(merged),
    )
