"""The record of looks at test splits, as a place in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.looks import LooksFile


class LooksDataset(AbstractDataset[LooksFile, LooksFile]):
    """A record that only grows: ``load`` gives its place, and looks are written down through that."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Bind the record's folder; ``metadata`` is for Kedro-Viz."""
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> LooksFile:
        """The record, which need not exist yet."""
        return LooksFile(self._folder)

    def save(self, data: LooksFile) -> None:
        """Refuse, whatever is given.

        Raises:
            InputError: always; a record of looks is never replaced.
        """
        raise InputError(f"{self._folder} only grows: write down a look with LooksFile.take")

    def _exists(self) -> bool:
        return self.load().path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
