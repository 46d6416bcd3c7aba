"""Models as directories: written whole, checked on load, never unpickled."""

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version
from kedro_datasets._typing import JSONPreview

from mopo_pipeline.errors import InputError


class ModelDirectoryDataset(AbstractVersionedDataset[Path, Path]):
    """A model directory. ``save`` takes the directory a node filled; ``load`` gives its path.

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
        """Move a directory into place; the old one stands until the new one is complete."""
        target = Path(self._get_save_path())
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            shutil.move(str(data), staging / "new")
            if target.exists():
                target.rename(staging / "old")
            (staging / "new").rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def preview(self) -> JSONPreview:
        """The model's description, for Kedro-Viz; no weights are read."""
        path = Path(self._get_load_path())
        for name in ("config.json", "adapter_config.json", "preference_model.json"):
            if (path / name).is_file():
                return JSONPreview((path / name).read_text())
        return JSONPreview("{}")

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
