"""Files that appear whole or not at all: written beside their place, then renamed into it."""

import json
import math
import os
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.io.core import AbstractDataset
from kedro.utils import load_obj
from kedro_datasets._typing import HTMLPreview, ImagePreview, JSONPreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.text import TextDataset

from mopo_pipeline.errors import InputError
from mopo_pipeline.paged import BUFFER, paged, parquet_batches

_STYLE = re.compile(r"<(style|script|title)\b.*?</\1>", flags=re.DOTALL)

if TYPE_CHECKING:
    from mopo_pipeline.reporting.picture import Picture


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a hidden sibling, then rename it over ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.tmp")
    try:
        write(staging)
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


class AtomicJSONDataset(JSONDataset):
    """JSON that takes NumPy values, refuses what is not a number, and is never half-written."""

    def load(self) -> Any:
        """Read UTF-8, whatever the machine's own encoding is."""
        return json.loads(Path(self._get_load_path()).read_text(encoding="utf-8"))

    def save(self, data: Any) -> None:
        """Write ``data``; NaN and infinity are errors, since JSON has neither."""
        path = Path(self._get_save_path())
        text = json.dumps(plain(data, path.name), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, lambda target: target.write_text(text + "\n", encoding="utf-8"))
        self._invalidate_cache()


class RecordDataset(AtomicJSONDataset):
    """JSON that is loaded as a record: ``record`` is the path of a class with ``to_json`` and ``from_json``."""

    def __init__(self, *, record: str, **settings: Any) -> None:
        """Bind the file; the class is imported when something is loaded."""
        super().__init__(**settings)
        self._record = record

    def load(self) -> Any:
        """The record."""
        return load_obj(self._record).from_json(super().load())

    def save(self, data: Any) -> None:
        """Write what the record says of itself."""
        super().save(data.to_json())

    def preview(self) -> JSONPreview:
        """The file, for Kedro-Viz."""
        return JSONPreview(Path(self._get_load_path()).read_text(encoding="utf-8"))


class AtomicParquetDataset(ParquetDataset):
    """A table that is never half-written; texts too many for memory stay in a file while they are used."""

    def load(self) -> pd.DataFrame:
        """The table, as ``pandas.read_parquet`` reads it."""
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(self._get_load_path(), buffer_size=BUFFER) as file:
            table: pd.DataFrame = paged(parquet_batches(file), file.schema_arrow).to_pandas()
        return table

    def save(self, data: pd.DataFrame) -> None:
        """Write ``data`` without its index."""
        path = Path(self._get_save_path())
        write_atomically(path, lambda target: data.to_parquet(target, index=False))
        self._invalidate_cache()


class AtomicJSONLinesDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A table as lines of JSON, nested values and every digit kept, never half-written."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Bind the file; ``metadata`` is for Kedro-Viz."""
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """A row per line."""
        with self._filepath.open(encoding="utf-8") as file:
            return pd.DataFrame([json.loads(line) for line in file])

    def save(self, data: pd.DataFrame) -> None:
        """Write a line per row, without the index."""
        write_atomically(self._filepath, lambda target: _write_lines(data, target))

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _write_lines(table: pd.DataFrame, target: Path) -> None:
    with target.open("w", encoding="utf-8") as file:
        for values in table.itertuples(index=False, name=None):
            row = dict(zip(table.columns, values, strict=True))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class AtomicTextDataset(TextDataset):
    """Text that is never half-written."""

    def load(self) -> str:
        """Read UTF-8, whatever the machine's own encoding is."""
        return Path(self._get_load_path()).read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Write ``data``."""
        path = Path(self._get_save_path())
        write_atomically(path, lambda target: target.write_text(data, encoding="utf-8"))
        self._invalidate_cache()


class PageDataset(AtomicTextDataset):
    """A page for people."""

    def preview(self) -> HTMLPreview:
        """What it says, for Kedro-Viz, in Viz's own style."""
        return HTMLPreview(_STYLE.sub("", self.load()))


class PictureDataset(AbstractDataset["Picture", "Picture"]):
    """A drawn picture as it is, never half-written: ``filepath`` holds its vectors, beside it lie a PNG and ``_narrow``."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Bind the files; ``metadata`` is for Kedro-Viz."""
        self._filepath = Path(filepath)
        self._points = self._filepath.with_suffix(".png")
        self._narrow = self._filepath.with_stem(f"{self._filepath.stem}_narrow")
        self.metadata = metadata

    def load(self) -> "Picture":
        """The picture, which a notebook shows."""
        from mopo_pipeline.reporting.picture import Picture

        narrow = self._narrow.read_text(encoding="utf-8") if self._narrow.is_file() else ""
        wide = self._filepath.read_text(encoding="utf-8")
        return Picture(wide, self._points.read_bytes(), narrow)

    def save(self, data: "Picture") -> None:
        """Write ``data``, the points first: where the vectors are, so are they."""
        write_atomically(self._points, lambda target: target.write_bytes(data.png))
        self._narrow.unlink(missing_ok=True)
        if data.narrow:
            write_atomically(
                self._narrow, lambda target: target.write_text(data.narrow, encoding="utf-8")
            )
        write_atomically(
            self._filepath, lambda target: target.write_text(data.svg, encoding="utf-8")
        )

    def preview(self) -> ImagePreview:
        """The points, for Kedro-Viz, which shows no vectors."""
        return ImagePreview(b64encode(self._points.read_bytes()).decode())

    def _exists(self) -> bool:
        return self._filepath.is_file() and self._points.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def plain(value: Any, where: str) -> Any:
    """Turn NumPy values into JSON's own; name the entry that has no JSON form.

    Raises:
        InputError: NaN, infinity, or a type JSON does not know.
    """
    if isinstance(value, dict):
        return {str(key): plain(item, f"{where}/{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}/{i}") for i, item in enumerate(value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), where)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            f"{where} is {value}, which JSON cannot hold; use null for what is unknown"
        )
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise InputError(f"{where} is a {type(value).__name__}, which JSON cannot hold")
