"""Tables of Arrow: parquet files, folders that `datasets` wrote, datasets of the hub."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import BUFFER, paged, parquet_batches
from mopo_pipeline.sources.opening import FROM_DISK, opened

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


def read_parquet(path: str) -> pd.DataFrame:
    """Read a parquet file, columns as their type declares them, never all of its texts in memory."""
    import pyarrow.parquet

    with opened(path) as file:
        whole = pyarrow.parquet.ParquetFile(file, buffer_size=BUFFER)
        return arrow_frame(paged(parquet_batches(whole), whole.schema_arrow), path)


def read_folder(path: str, split: str | None) -> pd.DataFrame:
    """Read a folder of ``save_to_disk``; of several splits, the one named.

    Raises:
        InputError: a folder of another kind, no such split.
    """
    several = Path(path, "dataset_dict.json").is_file()
    if not several and not Path(path, "state.json").is_file():
        raise InputError(
            f"{path}: a folder that datasets' save_to_disk did not write; name a file in it"
        )
    loaded = _quietly(lambda library: library.load_from_disk(path), path)
    if several:
        if split not in loaded:
            raise InputError(
                f"{path}: no split {split!r}, there are {sorted(loaded)}; set ingest.hub_split"
            )
        if others := sorted(set(loaded) - {split}):
            log.warning(
                "%s: of its splits %s alone is read (ingest.hub_split), not %s; write them as one table with a column "
                "split to keep them apart",
                path,
                split,
                ", ".join(f"{name} ({len(loaded[name])} rows)" for name in others),
            )
        loaded = loaded[split]
    return arrow_frame(loaded.with_format("arrow")[:], path)


def read_dataset(
    hub_id: str, config: str | None, *, folder: str | None, revision: str | None, split: str
) -> pd.DataFrame:
    """Read a dataset of the hub.

    Raises:
        InputError: it cannot be loaded.
    """
    loaded = _quietly(
        lambda library: library.load_dataset(
            hub_id, config, data_dir=folder, revision=revision, split=split
        ),
        hub_id,
        otherwise=FROM_DISK,
    )
    return arrow_frame(loaded.with_format("arrow")[:], hub_id)


def arrow_frame(table: "pa.Table", where: str) -> pd.DataFrame:
    """Rows of an Arrow table, numbered from 1; texts stay texts, nested cells become lists and dicts.

    Raises:
        InputError: two columns of one name, text that is not UTF-8.
    """
    import pyarrow as pa

    names = table.column_names
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{where}: {repeated[0]!r} appears twice; rename or drop one")
    index = pd.RangeIndex(1, table.num_rows + 1, name="row")
    columns = {}
    for name, column in zip(names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except ValueError as error:
            raise InputError(f"{where}: column {name}: {str(error).splitlines()[0]}") from None
        columns[name] = _series(column).set_axis(index)
    pa.default_memory_pool().release_unused()
    return pd.DataFrame(columns, index=index)


def _series(column: "pa.ChunkedArray") -> pd.Series:
    """Text as pandas' ``str``, numbers without a gap as numpy's, all else as objects."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pd.Series(column.to_pandas(), dtype="str")
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not column.null_count):
        return pd.Series(column.to_pandas())
    return pd.Series(column.to_pylist(), dtype=object)


def _quietly(load: Callable[[Any], Any], where: str, *, otherwise: str = "") -> Any:
    import datasets

    try:
        return load(datasets)
    except (OSError, ValueError, ConnectionError, datasets.exceptions.DatasetGenerationError) as e:
        reason = (str(e) or type(e).__name__).splitlines()[0]
        raise InputError(f"{where}: cannot be loaded: {reason}{otherwise}") from e
