"""Rows written in the formats that are read: text, Arrow, packed, with a mark at the start."""

import contextlib
import csv
import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzzed_world import Row


def write(path: Path, rows: list[Row], suffix: str, rng: np.random.Generator) -> Path:
    """Write rows under a suffix, perhaps packed; what Arrow cannot hold becomes lines of JSON."""
    if suffix in ("", ".parquet"):
        try:
            table = pa.Table.from_pylist(rows, schema=_schema(rows))
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            suffix = ".jsonl"
        else:
            return _written(path, _typed(table, rng) if suffix else table, suffix)
    content = _text(rows, suffix, rng).encode("utf-8")
    if rng.random() < 0.1:
        content = b"\xef\xbb\xbf" + content
    pack = rng.random()
    if pack < 0.1:
        suffix, content = suffix + ".gz", gzip.compress(content)
    elif pack < 0.2:
        suffix, content = suffix + ".zst", pa.Codec("zstd").compress(content, asbytes=True)
    path = path.with_suffix(suffix)
    path.write_bytes(content)
    return path


def _schema(rows: list[Row]) -> pa.Schema:
    """The schema of the whole, not that of the first row."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.schema([(name, pa.array([row.get(name) for row in rows]).type) for name in names])


TYPES = {
    "text": (pa.large_string(), pa.string_view(), pa.dictionary(pa.int16(), pa.string()), pa.string()),
    "whole": (pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(20, 4), pa.int64(), pa.float16(), pa.bool_()),
    "real": (pa.float32(), pa.decimal256(30, 9), pa.float64(), pa.float16()),
}  # fmt: skip
"""Types of Arrow that hold the same."""


def _typed(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The table with some columns of another type, where every cell keeps its meaning."""
    for number, name in enumerate(table.column_names):
        column, kind = table.column(number), table.schema.types[number]
        of = (
            "text" if pa.types.is_string(kind) else "whole" if pa.types.is_integer(kind) else "real"
        )
        if (of == "real" and not pa.types.is_floating(kind)) or rng.random() < 0.5:
            continue
        wanted = TYPES[of][rng.integers(len(TYPES[of]))]
        with contextlib.suppress(pa.ArrowException):
            cast = column.cast(wanted)
            if of == "text" or cast.cast(kind).equals(column):
                table = table.set_column(number, name, cast)
    return table


def _written(path: Path, table: pa.Table, suffix: str) -> Path:
    if suffix:
        pq.write_table(table, path.with_suffix(suffix), row_group_size=5)
        return path.with_suffix(suffix)
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset(table).save_to_disk(path)
    return path


def _text(rows: list[Row], suffix: str, rng: np.random.Generator) -> str:
    if suffix == ".csv":
        out = StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.writer(
            out, lineterminator="\r\n" if rng.random() < 0.3 else "\n", quoting=csv.QUOTE_ALL
        )
        writer.writerows([names, *([_csv_cell(row.get(name)) for name in names] for row in rows)])
        return out.getvalue()
    lines = [
        json.dumps(row, ensure_ascii=bool(rng.random() < 0.5) or "ud800" in repr(row))
        for row in rows
    ]
    return f"[{','.join(lines)}]" if suffix == ".json" and rng.random() < 0.7 else "\n".join(lines)


def _csv_cell(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    return json.dumps(cell) if isinstance(cell, dict | list) else str(cell)
