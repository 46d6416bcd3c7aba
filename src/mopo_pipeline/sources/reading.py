"""Tables of CSV, JSON, JSON lines and parquet, cell by cell as they are written."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from mopo_pipeline.errors import InputError

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")

Row = dict[str, Any]


def read_table(path: Path) -> pd.DataFrame:
    """Read one table by its suffix; ``.gz`` may follow.

    No type is inferred: cells of CSV are text or None, those of JSON and parquet what is written.
    The index says where each row stands and is named ``line`` (CSV, JSON lines) or ``row``.

    Raises:
        InputError: no such file, an unknown suffix, text that is not UTF-8, malformed content with
            its line, two columns of one name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check ingest.path and ingest.judgements_path")
    suffix = Path(path.name.removesuffix(".gz")).suffix
    readers = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet}
    if suffix not in readers:
        raise InputError(
            f"{path}: unknown suffix {path.suffix!r}; use one of {', '.join(SUFFIXES)}"
        )
    try:
        return readers[suffix](path)
    except InputError:
        raise
    except (ValueError, NotImplementedError, OSError, EOFError, csv.Error, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: cannot be read: {reason}") from error


def frame(rows: list[Row], places: list[int] | range, kind: str) -> pd.DataFrame:
    """A table of objects whose index, named ``kind``, says where each row stands."""
    return pd.DataFrame(rows, dtype=object, index=pd.Index(places, name=kind))


def _csv(path: Path) -> pd.DataFrame:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader((text for _, text in _lines(path)), strict=True)
    rows, places, end = [], [], 0
    header: list[str] | None = None
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            if not cells:
                continue
            if header is None:
                header = _header(cells, f"{path}: line {line}")
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{path}: line {line}: {len(cells)} cells, but the header has {len(header)}; put "
                    "quotation marks around cells that hold a comma"
                )
            rows.append({k: v or None for k, v in zip(header, cells, strict=True)})
            places.append(line)
    except csv.Error as error:
        raise InputError(f"{path}: line {end + 1}: not valid CSV ({error})") from error
    if header is None:
        raise InputError(f"{path}: cannot be read: the file is empty")
    table = frame(rows, places, "line")
    return table if rows else table.reindex(columns=header)


def _header(names: list[str], where: str) -> list[str]:
    for separator in (";", "\t"):
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"{where}: the columns are separated by {separator!r}; separate them by commas, and "
                "write decimals with a point"
            )
    _refuse_repeated(names, where)
    return names


def _json_lines(path: Path) -> pd.DataFrame:
    rows, places = [], []
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {number}: not valid JSON ({error.msg})") from error
        except InputError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}: line {number}: expected a JSON object, got {line[:40]!r}")
        rows.append(row)
        places.append(number)
    return frame(rows, places, "line")


def _json(path: Path) -> pd.DataFrame:
    content = "".join(line for _, line in _lines(path))
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
        raise InputError(f"{path}: expected a JSON list of objects, one per row")
    return frame(rows, range(1, len(rows) + 1), "row")


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse_repeated([key for key, _ in pairs], "a JSON object")
    return found


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet

    with _open(path) as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        _refuse_repeated(parquet.schema_arrow.names, str(path))
        table = parquet.read()
    rows = frame(table.to_pylist(), range(1, table.num_rows + 1), "row")
    return rows if len(rows) else rows.reindex(columns=table.column_names)


def _refuse_repeated(names: list[str], where: str) -> None:
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise InputError(f"{where}: {repeated[0]!r} appears twice; rename or drop one")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept, a byte order mark left out."""
    with _open(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: line {number}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as "
                    "UTF-8, for example with iconv -f latin1 -t utf-8"
                ) from None
            yield number, line.removeprefix("\ufeff") if number == 1 else line


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
