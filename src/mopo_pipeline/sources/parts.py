"""Several files read as one: columns named anew, places that name their file, weights."""

import logging
from collections import Counter

import numpy as np
import pandas as pd

from mopo_pipeline.columns import nearest, place
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams, PartParams
from mopo_pipeline.sources.nested import column_of, unfolded
from mopo_pipeline.sources.raw import Rows
from mopo_pipeline.tables import prompt_codes

log = logging.getLogger(__name__)

KEPT = ("prompt", "chosen", "rejected")
"""Columns that are read under their own name also where something inside them is read under another one."""


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
        columns: name here to name in the file, or to a path into its cells (``nested.py``), whose column is left out too, unless it is one of ``KEPT``.
        where: the file.

    Raises:
        InputError: the file has no such column, or its cells no such inside.
    """
    begins = {here: column_of(there, table.columns) for here, there in columns.items()}
    for here, name in columns.items():
        if begins[here] is None:
            raise InputError(
                f"{where}: ingest.columns names {name!r}, which is no column{nearest(name, table.columns)}; "
                f"found {sorted(map(str, table.columns))}"
            )
    paths = {here: there for here, there in columns.items() if begins[here] != there}
    inner: dict[str, pd.Series] = {}
    if paths:
        table, inner = unfolded(table, paths, where)
    taken = {here: inner[here] if here in inner else table[columns[here]] for here in columns}
    opened = {begins[here] for here in paths} - {*KEPT}
    used = {*columns, *opened, *(set(columns.values()) - set(paths.values()))}
    rest = table.drop(columns=list(used), errors="ignore")
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
    _tell_shared(found)
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


def _tell_shared(found: list[Rows]) -> None:
    """Warn of what several files have in common, and what is made of it: names of people and groups, prompts that are rated."""
    for column, meant in (("annotator", "one person"), ("group", "one group")):
        names = [
            set(part.table[column].dropna().astype(str)) - {""}
            for part in found
            if column in part.table
        ]
        if shared := sorted(
            name for name, files in Counter(n for each in names for n in each).items() if files > 1
        ):
            log.warning(
                "%d names of the column %s stand in several of ingest.parts (%r), and each counts as %s: where it does not "
                "mean the same in each file, write the file's name before it",
                len(shared),
                column,
                shared[0],
                meant,
            )
    if found[0].unit != "responses":
        return
    codes = prompt_codes(pd.concat([part.table["prompt"] for part in found]))
    parts = np.repeat(np.arange(len(found)), [len(part.table) for part in found])
    once = pd.DataFrame({"prompt": codes, "part": parts}).drop_duplicates()
    if count := int((once["prompt"].value_counts() > 1).sum()):
        log.warning(
            "%d prompts stand in several of ingest.parts, and ratings of one are compared with those of another: right only "
            "where both rate on one scale",
            count,
        )
