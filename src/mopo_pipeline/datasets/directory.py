"""Models as directories: written whole, checked on load, never unpickled."""

import shutil
import tempfile
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset, AbstractVersionedDataset, Version
from kedro_datasets._typing import HTMLPreview, JSONPreview

from mopo_pipeline.datasets.files import write_atomically
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.sealed import apply_umask


class ModelDirectoryDataset(AbstractVersionedDataset[Path, Path]):
    """A model directory. ``save`` copies the directory a node filled; ``load`` gives its path.

    Loading the weights is left to the node that needs them, so that nothing heavy is imported with
    the catalog.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Bind the directory; ``metadata`` is for Kedro-Viz."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> Path:
        """The directory, once it is known to hold a model."""
        path = Path(self._get_load_path())
        if not any(path.glob("*.json")):
            raise InputError(f"{path} holds no model; run the stage that makes it")
        return path

    def save(self, data: Path) -> None:
        """Copy a directory into place, itself untouched; the old one stands until the new one is complete."""
        target = Path(self._get_save_path())
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            shutil.copytree(data, staging / "new")
            apply_umask(staging / "new")
            _put_in_place(staging / "new", target, staging / "old")
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def preview(self) -> JSONPreview:
        """The model's description, for Kedro-Viz; no weights are read."""
        path = Path(self._get_load_path())
        for name in ("config.json", "adapter_config.json", "preference_model.json"):
            if (path / name).is_file():
                return JSONPreview((path / name).read_text(encoding="utf-8"))
        return JSONPreview("{}")

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


class ModelCardDataset(AbstractDataset[str, str]):
    """The card inside a model directory, once it says what was attained.

    The directory comes with a card of its own, which counts as missing; with the directory's next
    version the finished card goes too, so it needs no fingerprint.
    """

    DONE = "\n- measured on "

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Bind the card in its model's directory; ``metadata`` is for Kedro-Viz."""
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """The card's text."""
        return self._path.read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Replace the card; the model beside it stays."""
        write_atomically(self._path, lambda target: target.write_text(data, encoding="utf-8"))

    def preview(self) -> HTMLPreview:
        """The card as it is written, for Kedro-Viz."""
        return HTMLPreview(f"<pre>{escape(self.load())}</pre>")

    def _exists(self) -> bool:
        return self._path.is_file() and self.DONE in self.load().lower()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


def _put_in_place(new: Path, target: Path, aside: Path) -> None:
    """Rename ``new`` to ``target``; what lay there steps aside, and back where that fails."""
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
