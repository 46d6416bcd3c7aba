"""Tables of CSV, JSON, JSON lines, parquet and `datasets` folders, cell by cell as they are written."""

import csv
import json
import logging
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import CHUNK, paged_frames
from mopo_pipeline.sources.arrow import read_folder, read_parquet
from mopo_pipeline.sources.contents import no_such_file, refuse_other_content
from mopo_pipeline.sources.opening import FROM_DISK, REMOTE, lines, suffix

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")

OTHER_SUFFIXES = {
    ".tsv": "separate its columns by commas and name it .csv",
    ".tab": "separate its columns by commas and name it .csv",
    ".ndjson": "it is what .jsonl is: name it so",
    ".jsonlines": "it is what .jsonl is: name it so",
    **dict.fromkeys((".bz2", ".xz", ".lzma", ".zip", ".7z", ".rar", ".tar", ".tgz"), "unpack it"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".numbers"), "save its sheet as .csv, UTF-8"),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".pkl", ".pickle", ".rds"), "write its table as .parquet"),
    **dict.fromkeys((".yaml", ".yml", ".xml"), "write its rows as .jsonl, an object on each line"),
}  # fmt: skip
"""What to do about files of other kinds."""

UNREADABLE = (ValueError, NotImplementedError, OSError, EOFError, csv.Error, zlib.error)
"""What reading a file raises that is not what its name says; a store's library raises what it likes."""

SPREAD = "; an object of .jsonl stands on one line: write it so, or a list of objects as .json"
"""What to do about objects over several lines."""

Row = dict[str, Any]


def read_table(path: str | Path, split: str | None = None) -> pd.DataFrame:
    """Read one table by its suffix; ``.gz`` or ``.zst`` may follow.

    No type is inferred: cells of CSV are text or None, those of JSON what is written, those of parquet
    what its columns declare. The index says where each row stands and is named ``line`` (CSV, JSON
    lines) or ``row``.

    Args:
        path: a file, an address as ``s3://bucket/file.parquet``, or a folder of ``save_to_disk``.
        split: of such a folder, where it holds several.

    Raises:
        InputError: no such file, an unknown suffix, text that is not UTF-8, malformed content with
            its line, two columns of one name, no rows.
    """
    path = str(path)
    table = _read(path, split)
    if table.empty:
        raise InputError(f"{path}: the file has no rows")
    return table


def _read(path: str, split: str | None) -> pd.DataFrame:
    if os.path.isdir(path):
        return read_folder(path, split)
    if REMOTE not in path and not os.path.isfile(path):
        raise no_such_file(path)
    if REMOTE not in path and Path(path).stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    readers: dict[str, Callable[[str], pd.DataFrame]] = {
        ".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": read_parquet,
    }  # fmt: skip
    kind = suffix(path)
    if kind not in readers:
        first = f"{OTHER_SUFFIXES[kind]}; " if kind in OTHER_SUFFIXES else ""
        raise InputError(
            f"{path}: unknown suffix {kind!r}; {first}read are {', '.join(SUFFIXES)}, with .gz or .zst after it where it is "
            "compressed"
        )
    unreadable = (Exception,) if REMOTE in path else UNREADABLE
    try:
        if REMOTE not in path:
            refuse_other_content(path)
        return readers[kind](path)
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{path}: cannot be read: nested too deeply") from None
    except unreadable as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        otherwise = FROM_DISK if REMOTE in path else ""
        raise InputError(f"{path}: cannot be read: {reason}{otherwise}") from error


def frame(rows: list[Row], places: list[int], kind: str) -> pd.DataFrame:
    """A table of objects whose index, named ``kind``, says where each row stands."""
    return pd.DataFrame(rows, dtype=object, index=pd.Index(places, name=kind))


def _gathered(rows: Iterable[tuple[int, Row]], kind: str) -> pd.DataFrame:
    """``frame`` of rows with their places, texts held as Arrow does: never all of a file is Python's."""
    parts = paged_frames(_compact(part, kind) for part in _by_chunks(rows))
    return pd.concat(parts) if len(parts) > 1 else parts[0]


def _by_chunks(rows: Iterable[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    """CHUNK rows at a time; no rows once where there are none."""
    waiting = iter(rows)
    part = list(islice(waiting, CHUNK))
    yield part
    while part := list(islice(waiting, CHUNK)):
        yield part


def _compact(rows: list[tuple[int, Row]], kind: str) -> pd.DataFrame:
    """``frame`` whose columns of texts, and of texts with missing ones, are pandas' ``str``."""
    table = frame([row for _, row in rows], [place for place, _ in rows], kind)
    columns = {}
    for name, column in table.items():
        columns[name] = column
        if pd.api.types.infer_dtype(column, skipna=True) == "string":
            with suppress(UnicodeEncodeError):
                columns[name] = column.astype("str")
    return pd.DataFrame(columns, index=table.index)


def _csv(path: str) -> pd.DataFrame:
    return _gathered(_csv_rows(path), "line")


def _csv_rows(path: str) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    record: list[str] = []
    reader = csv.reader(_remembered(lines(path), record), strict=True)
    end, blank = 0, 0
    header: list[str] | None = None
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            _refuse_late_quotes(cells, record, f"{path}: line {line}")
            record.clear()
            if not cells:
                continue
            if header is not None and len(cells) > 1 and not any(cells):
                blank += 1
                continue
            if header is None:
                header = _header(cells, f"{path}: line {line}")
                continue
            if len(cells) != len(header):
                remedy = "put quotation marks around cells that hold a comma"
                if header[0].lstrip().startswith(("#", "sep=", "|")):
                    remedy = f"its first line is {','.join(header)[:40]!r}: the names of the columns come first"
                raise InputError(
                    f"{path}: line {line}: {len(cells)} cells, but the header has {len(header)}; {remedy}"
                )
            yield line, {k: v or None for k, v in zip(header, cells, strict=True)}
        if blank:
            log.warning(
                "%s: lines of empty cells alone are left out, as empty lines are: %d", path, blank
            )
    except csv.Error as error:
        reason = str(error)
        if "new-line character" in reason:
            reason = "lines end in CR alone, as on an old Macintosh; save it with LF"
        if "expected after" in reason and '\\"' in "".join(record):
            reason += '; inside quotation marks one is written twice, "", not \\"'
        raise InputError(f"{path}: line {end + 1}: not valid CSV ({reason})") from error


def _remembered(numbered: Iterable[tuple[int, str]], record: list[str]) -> Iterator[str]:
    """Lines of a file; those since ``record`` was emptied stand in it."""
    for _, line in numbered:
        record.append(line)
        yield line


def _refuse_late_quotes(cells: list[str], record: list[str], where: str) -> None:
    """Refuse quotation marks after a blank: they would be read as part of the text, and commas between them as ends of cells.

    Args:
        cells: of one record.
        record: its lines.
        where: file and line.
    """
    late = [i for i, cell in enumerate(cells) if cell[:1] == " " and cell.lstrip()[:1] == '"']
    if late and next(csv.reader(record, skipinitialspace=True))[late[0]] != cells[late[0]]:
        raise InputError(
            f"{where}: a quotation mark stands after a blank, so that it would be part of the text; let cells begin right "
            "after the comma"
        )


def _header(names: list[str], where: str) -> list[str]:
    for separator in (";", "\t", "|"):
        if len(names) == 1 and separator in names[0] and not names[0].lstrip().startswith("|"):
            raise InputError(
                f"{where}: the columns are separated by {separator!r}; separate them by commas, and "
                "write decimals with a point"
            )
    _refuse_repeated(names, where)
    return names


def _json_lines(path: str) -> pd.DataFrame:
    return _gathered(_json_rows(path), "line")


def _json_rows(path: str) -> Iterator[tuple[int, Row]]:
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except InputError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
        except ValueError as error:
            hint = SPREAD if line.strip() in ("{", "[") else ""
            raise InputError(
                f"{path}: line {number}: not valid JSON ({_reason(error)}){hint}"
            ) from error
        if not isinstance(row, dict):
            hint = "; a list of objects is a file .json" if isinstance(row, list) else ""
            raise InputError(
                f"{path}: line {number}: expected a JSON object, got {line[:40]!r}{hint}"
            )
        yield number, row


def _json(path: str) -> pd.DataFrame:
    content = "".join(line for _, line in lines(path))
    try:
        rows = json.loads(content, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and content.lstrip().startswith("{"):
            return _json_lines(path)
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})"
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"{path}: expected a JSON list of objects, one per row; {_written_otherwise(rows)}"
        )
    return _gathered(enumerate(rows, start=1), "row")


def _written_otherwise(content: Any) -> str:
    """What to do about JSON of another build: a list inside an object, one object, or what pandas writes by columns."""
    held = content if isinstance(content, dict) else {}
    inner = [k for k, v in held.items() if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(inner) == 1:
        return f"the list under {inner[0]!r} may be it: write that list alone"
    if held and not any(isinstance(value, dict | list) for value in held.values()):
        return "of a single row too, in [ ]"
    return "pandas writes it with orient='records'"


def _reason(error: ValueError) -> str:
    """What the parser found, without the place in a text of its own; a number too long has no place."""
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error).split(";")[0]


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse_repeated([key for key, _ in pairs], "a JSON object")
    return found


def _refuse_repeated(names: list[str], where: str) -> None:
    repeated = [name for i, name in enumerate(names) if name and name in names[:i]]
    if repeated:
        raise InputError(f"{where}: {repeated[0]!r} appears twice; rename or drop one")
