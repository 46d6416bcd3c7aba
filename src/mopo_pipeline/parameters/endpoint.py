"""Parameters of a model that a server answers for."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mopo_pipeline.parameters.base import StrictModel


class EndpointParams(StrictModel):
    """An OpenAI-compatible server, the model asked of it, and how patient its callers are.

    The key itself stands in no parameter: ``key_variable`` names the environment variable that holds it.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]
    model: Annotated[str, Field(min_length=1)]
    key_variable: str | None = None
    timeout: PositiveFloat = 60.0
    retries: NonNegativeInt = 5
    at_once: PositiveInt = 8
