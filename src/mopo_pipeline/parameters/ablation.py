"""Parameters of the ablations: which parameters are swept, one table of values a sweep."""

from typing import Annotated, Any

from pydantic import Field

from mopo_pipeline.parameters.base import StrictModel

Key = Annotated[str, Field(pattern=r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$")]
"""A parameter by its full name, such as plan.tau."""

Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class AblationParams(StrictModel):
    """Sweeps by name: every combination of the values of a sweep's parameters is a run."""

    sweeps: dict[str, dict[Key, Values]] = Field(min_length=1)
