"""Parameters of the row export: how many rows other trainers draw."""

from pydantic import PositiveInt

from mopo_pipeline.parameters.base import StrictModel


class RowsParams(StrictModel):
    """The planned rows, for other trainers."""

    size: PositiveInt | None = None
