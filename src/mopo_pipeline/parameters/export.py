"""Parameters of the export: where the policy goes, and whether it may go without a certificate."""

from pathlib import Path

from mopo_pipeline.parameters.base import StrictModel


class ExportParams(StrictModel):
    """The policy as a folder for use elsewhere."""

    path: Path
    merge: bool = True
    uncertified: bool = False
    licence: str | None = None
    repo_id: str | None = None
