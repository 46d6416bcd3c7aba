"""What stands inside cells: paths such as ``question.full_text``, and lists of which each item is a row (``votes.*.better``)."""

import difflib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.columns import is_missing, place
from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import taken_rows

EACH = "*"
"""The step of a path that makes a row of every item of a list."""

NUMBER = re.compile(r"-?[0-9]{1,9}")
"""A step into a list."""

FOUND = 8
"""Keys that a message names at most."""


def column_of(path: str, columns: Iterable[Any]) -> str | None:
    """The column a path begins with: the whole of it where it is one, else the longest that a dot follows.

    >>> column_of("a.b.c", ["a", "a.b", "c"])
    'a.b'
    """
    begins = [c for c in map(str, columns) if path == c or path.startswith(f"{c}.")]
    return max(begins, key=len, default=None)


def unfolded(
    table: pd.DataFrame, paths: dict[str, str], where: str
) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Cells that paths lead to, and the table with a row for every item of the lists that ``*`` stands for.

    A step is the key of an object, the number of an item of a list (from 0, or -1 for the last),
    ``key=value`` for the one item of a list that has it, or ``*``, once, for each item. A cell may be
    JSON. What a row lacks is missing; lists of one row are read side by side, and one that is empty or
    missing leaves its row as it is.

    Args:
        table: cells as written.
        paths: names here to paths, each of which begins with a column of the table.
        where: the file.

    Raises:
        InputError: a step that leads nowhere in any row, or into what has no inside, lists of one row that differ in
            length; by place.
    """
    walked = {here: _walked(table, path, where) for here, path in paths.items()}
    listed = [here for here, path in paths.items() if EACH in _steps(table, path)]
    if listed:
        counts = [[len(cell) for cell in walked[here]] for here in listed]
        for here, found in zip(listed, counts, strict=True):
            if found != counts[0]:
                row = next(i for i, n in enumerate(found) if n != counts[0][i])
                raise InputError(
                    f"{where}: {place(table, row)}: {paths[listed[0]]} has {counts[0][row]} items and {paths[here]} "
                    f"{found[row]}: lists that become rows are read side by side, so give them one length"
                )
        rows = np.repeat(np.arange(len(table)), np.maximum(counts[0], 1))
        table, before = taken_rows(table, rows), table
        table.index = pd.Index(
            [
                f"{place(before, row)}{f', item {k + 1}' if n else ''}"
                for row, n in enumerate(counts[0])
                for k in range(max(n, 1))
            ],
            name="place",
        )
        for here in paths:
            cells = walked[here]
            if here in listed:
                walked[here] = [item for cell in cells for item in (cell or [None])]
            else:
                walked[here] = [cells[row] for row in rows]
    return table, {here: _column(cells, table.index) for here, cells in walked.items()}


def _column(cells: list[Any], index: pd.Index) -> pd.Series:
    """Cells (n,) as a column; texts as pandas' ``str``, which readers look at without making them Python's."""
    column = pd.Series(cells, index, dtype=object)
    if pd.api.types.infer_dtype(column, skipna=True) == "string":
        with suppress(UnicodeEncodeError):
            return column.astype("str")
    return column


def _steps(table: pd.DataFrame, path: str) -> list[str]:
    column = column_of(path, table.columns) or ""
    return path[len(column) + 1 :].split(".")


def _walked(table: pd.DataFrame, path: str, where: str) -> list[Any]:
    """The cell of each row that a path leads to; of a path with ``*`` a list of them.

    Raises:
        InputError: as for ``unfolded``.
    """
    column = column_of(path, table.columns) or ""
    steps = _steps(table, path)
    if steps.count(EACH) > 1:
        raise InputError(f"ingest.columns: {path!r} has {EACH} twice; one list becomes rows")
    at = steps.index(EACH) if EACH in steps else len(steps)
    cells, before = list(table[column]), column
    for number, step in enumerate(steps):
        said = f"{where}: {{}}, column {before}: "
        if number == at:
            cells = _each(table, cells, said)
        elif number < at:
            cells = _stepped(table, range(len(table)), cells, step, path, said)
        else:
            flat = [item for cell in cells for item in cell]
            rows = np.repeat(np.arange(len(table)), [len(cell) for cell in cells])
            inner = iter(_stepped(table, rows, flat, step, path, said))
            cells = [[next(inner) for _ in cell] for cell in cells]
        before = f"{before}.{step}"
    return cells


def _each(table: pd.DataFrame, cells: list[Any], said: str) -> list[Any]:
    """Cells that are lists; empty ones where they are missing."""
    lists = []
    for row, cell in enumerate(map(_opened, cells)):
        if not (is_missing(cell) or isinstance(cell, list | tuple | np.ndarray)):
            raise InputError(
                f"{said.format(place(table, row))}{str(cell)[:40]!r} is no list, of which {EACH} makes rows"
            )
        lists.append([] if is_missing(cell) else list(cell))
    return lists


def _stepped(
    table: pd.DataFrame, rows: Iterable[int], cells: list[Any], step: str, path: str, said: str
) -> list[Any]:
    """One step into every cell, which stand in these ``rows``, None where there is nothing.

    Raises:
        InputError: it leads nowhere in any of them, or into what has no inside.
    """
    found, any_found = [], False
    keys: dict[str, None] = {}
    for row, cell in zip(rows, map(_opened, cells), strict=True):
        try:
            there, inside = _inside(cell, step)
        except InputError as error:
            raise InputError(f"{said.format(place(table, row))}{error}") from None
        any_found = any_found or there
        if not there:
            keys |= dict.fromkeys(_steps_of(cell, step))
        found.append(inside)
    if len(cells) and not any_found:
        near = difflib.get_close_matches(step, keys, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise InputError(
            f"{said.format('every row')}ingest.columns names {path!r}, and nothing here has {step!r}{meant}; found "
            f"{sorted(keys)[:FOUND]}"
        )
    return found


def _steps_of(cell: Any, step: str) -> list[str]:
    """What could be written in place of a step that leads nowhere."""
    if isinstance(cell, dict):
        return list(map(str, cell))
    key, is_condition, _ = step.partition("=")
    items = cell if is_condition and isinstance(cell, list | tuple | np.ndarray) else []
    return [f"{key}={item[key]}" for item in items if isinstance(item, dict) and key in item]


def _inside(cell: Any, step: str) -> tuple[bool, Any]:
    """Whether a cell has this step, and what stands there."""
    if is_missing(cell):
        return False, None
    if isinstance(cell, dict):
        return step in cell, cell.get(step)
    if not isinstance(cell, list | tuple | np.ndarray):
        raise InputError(
            f"{str(cell)[:40]!r} is no object or list, nor JSON of one (Python's own text is none), so that it "
            f"has no {step!r}"
        )
    if NUMBER.fullmatch(step):
        number = int(step)
        there = -len(cell) <= number < len(cell)
        return there, cell[number] if there else None
    key, is_condition, value = step.partition("=")
    if not is_condition:
        raise InputError(
            f"{str(list(cell))[:40]!r} is a list: before {step!r} write {EACH} for a row of each item, a number for one item, or "
            "key=value for the item that has it"
        )
    having = [item for item in cell if isinstance(item, dict) and str(item.get(key)) == value]
    if len(having) > 1:
        raise InputError(f"{len(having)} items have {step}, and one must be meant")
    return bool(having), having[0] if having else None


def _opened(cell: Any) -> Any:
    """A cell, of JSON what it says."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(("{", "[")):
        return None if isinstance(cell, str) and not cell.strip() else cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
