"""Parameters of the ablations: which parameters are swept, one table of values a sweep."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from mopo_pipeline.parameters.base import StrictModel

Key = Annotated[str, Field(pattern=r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$")]
"""A parameter by its full name, such as plan.tau."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]*$")]
"""Of a sweep or a variant: folders and tables are called by it."""

Values = Annotated[tuple[Any, ...], Field(min_length=1)]


Sweep = Annotated[dict[Key, Values], Field(min_length=1)]
"""Every combination of these values is a run."""


REFERENCE = "reference"
"""What the policy beside all variants is called."""


class AblationParams(StrictModel):
    """Sweeps by name; null takes out one that another file has, since tables of parameters are merged."""

    sweeps: dict[Name, Sweep | None]

    @model_validator(mode="after")
    def _one_is_left(self) -> "AblationParams":
        if not any(self.sweeps.values()):
            raise ValueError("sweeps holds none: name one, with its parameters and their values")
        if REFERENCE in self.sweeps:
            raise ValueError(
                f"a sweep cannot be called {REFERENCE}, as the policy beside them all is"
            )
        return self
