"""Texts too many for memory: they lie in a temporary file, are paged in where they are read, and never made Python's."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from mopo_pipeline.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CHUNK = 1 << 14
"""Cells of a column that are Python objects at one time."""

STRETCH = 8 * CHUNK
"""Cells of a column that are looked at for some of them at one time."""

BUFFER = 1 << 20
"""Bytes of a column of a file that are read at one time."""

HELD = 1 << 23
"""Bytes of a table that stay in memory; what comes after them makes it lie in a file."""


def paged(batches: Iterable["pa.RecordBatch"], schema: "pa.Schema") -> "pa.Table":
    """A table of batches: in memory while it is small, else in a file that ends with the table.

    Batches are written as they come and mapped into memory afterwards, so that the system may drop
    any part of them and read it again. The file lies in the folder that ``TMPDIR`` names.

    Args:
        batches: of the schema, one in memory at a time.
        schema: of the table.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size, rest = 0, iter(batches)
    for batch in rest:
        held.append(batch)
        size += batch.nbytes
        if size > HELD:
            return _mapped(held, rest, schema)
    return pa.Table.from_batches(held, schema).combine_chunks()


def parquet_batches(file: "pq.ParquetFile") -> Iterator["pa.RecordBatch"]:
    """Batches of CHUNK rows, a row group at a time: what was read of one is let go before the next."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(CHUNK, row_groups=[group], use_threads=False)


def paged_texts(parts: Iterable[pd.Series]) -> ExtensionArray:
    """Parts of a column of text, (n,) of pandas' ``str`` in all, as one column; ``paged`` holds it."""
    import pyarrow as pa

    schema = pa.schema([("text", pa.large_string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            for chunk in arrow_texts(part).chunks:
                yield pa.record_batch([chunk], schema=schema)

    return _texts(paged(batches(), schema).column(0))


def paged_frames(frames: Iterable[pd.DataFrame]) -> list[pd.DataFrame]:
    """Tables one after another, whose columns of pandas' ``str`` lie in a file once they are many."""
    import pyarrow as pa

    held: list[pd.DataFrame] = []
    size, rest = 0, iter(frames)
    for frame in rest:
        held.append(frame)
        size += int(frame.memory_usage(index=False).sum())
        if size > HELD:
            break
    else:
        return held
    with _lent_file() as path, pa.OSFile(str(path), "wb") as file:
        bare = [_written(frame, file) for frame in chain(_emptied(held), rest)]
        file.flush()
        mapped = pa.memory_map(str(path))
        return [_rejoined(*each, mapped) for each in bare]


def _emptied(frames: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The tables, gone from their list as they come."""
    while frames:
        yield frames.pop(0)


def _written(frame: pd.DataFrame, file: Any) -> tuple[pd.DataFrame, list[Any], int]:
    """A table without its texts, the names of all its columns, and where in the file its texts are."""
    import pyarrow as pa

    texts = [name for name, kind in frame.dtypes.items() if isinstance(kind, pd.StringDtype)]
    place = file.tell()
    table = pa.table([arrow_texts(frame[name]) for name in texts], names=list(map(str, texts)))
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return frame.drop(columns=texts), list(frame.columns), place


def _rejoined(bare: pd.DataFrame, names: list[Any], place: int, mapped: Any) -> pd.DataFrame:
    """The table that ``_written`` took apart, its texts in the mapped file."""
    import pyarrow as pa

    mapped.seek(place)
    table = pa.ipc.open_stream(mapped).read_all()
    columns = {
        name: bare[name] if name in bare else _texts(table.column(str(name))) for name in names
    }
    return pd.DataFrame(columns, index=bare.index)


def arrow_texts(texts: pd.Series) -> "pa.ChunkedArray":
    """A column of text as Arrow holds it, (n,) large strings, null where missing."""
    import pyarrow as pa

    cells = pa.array(texts.array, type=pa.large_string())
    return cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])


def taken(texts: pd.Series | ExtensionArray, rows: NDArray[np.intp]) -> ExtensionArray:
    """The texts of these ``rows``, (m,) positions that should ascend, for each part of a column is visited once."""
    return paged_texts(parts_of_rows(texts, rows))


def parts_of_rows(texts: pd.Series | ExtensionArray, rows: NDArray[np.intp]) -> Iterator[pd.Series]:
    """The texts of these ``rows``, (m,) positions that should ascend, at most CHUNK of them at a time.

    Only the stretch where a part's rows lie is looked at, STRETCH cells at most of rows that ascend: Arrow copies what it takes
    rows from, and a few rows from all over a column would copy all of it.
    """
    start = 0
    while start < len(rows):
        use = rows[start : start + CHUNK]
        if (use[1:] >= use[:-1]).all():
            use = use[: np.searchsorted(use, use[0] + STRETCH)]
        low, high = int(use.min()), int(use.max()) + 1
        yield pd.Series(pd.Series(texts[low:high]).array.take(use - low))
        start += len(use)


def taken_rows(table: pd.DataFrame, rows: NDArray[np.intp]) -> pd.DataFrame:
    """These ``rows`` of a table, (m,) positions that should ascend, index kept; ``taken`` holds its texts."""
    columns = {
        name: taken(column, rows)
        if isinstance(column.dtype, pd.StringDtype)
        else column.array.take(rows)
        for name, column in table.items()
    }
    return pd.DataFrame(columns, index=table.index[rows])


def numbered(prefix: str, codes: NDArray[np.intp]) -> ExtensionArray:
    """Ids (n,) of codes (n,): the prefix and the number.

    >>> list(numbered("p", np.array([0, 12])))
    ['p0', 'p12']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def parts() -> Iterator[pd.Series]:
        for start in range(0, len(codes), CHUNK):
            numbers = pc.cast(pa.array(codes[start : start + CHUNK]), pa.string())
            ids = pc.binary_join_element_wise(prefix, numbers, "")
            yield pd.Series(_texts(ids))

    return paged_texts(parts())


def repeated(text: str, count: int) -> ExtensionArray:
    """A column (n,) that says one text.

    >>> list(repeated("a", 2))
    ['a', 'a']
    """
    part = pd.Series([text], dtype="str").repeat(min(count, CHUNK))
    sizes = (min(CHUNK, count - start) for start in range(0, count, CHUNK))
    return paged_texts(part.iloc[:size] for size in sizes)


def _texts(cells: Any) -> ExtensionArray:
    """Cells (n,) as pandas' ``str``, not copied."""
    return pd.Series(cells.to_pandas(), dtype="str").array


def _mapped(
    first: "list[pa.RecordBatch]", rest: "Iterator[pa.RecordBatch]", schema: "pa.Schema"
) -> "pa.Table":
    """All batches written to a file, emptied from memory as they are, and the file's table."""
    import pyarrow as pa

    with _lent_file() as path:
        with pa.ipc.new_file(str(path), schema) as writer:
            while first:
                writer.write_batch(first.pop(0))
            for batch in rest:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


@contextmanager
def _lent_file() -> Iterator[Path]:
    """A file of the temporary folder that has no name afterwards, and lasts as long as it is mapped.

    Raises:
        InputError: the folder is full.
    """
    handle, name = tempfile.mkstemp(prefix="mopo-texts-", suffix=".arrow")
    os.close(handle)
    try:
        yield Path(name)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            f"{Path(name).parent}: no space left for texts, which lie there while they are used; set TMPDIR to a folder "
            "with more"
        ) from error
    finally:
        with suppress(PermissionError):
            Path(name).unlink()
