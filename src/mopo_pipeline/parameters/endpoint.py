"""Parameters of a model that a server answers for."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from mopo_pipeline.parameters.base import StrictModel


def bare_address(address: str) -> str:
    """An address that paths can be put behind and everyone may read, such as ``http://localhost:8000/v1``.

    Raises:
        ValueError: it is none, holds a password, or ends in a query, which may hold a key.
    """
    found = urlsplit(address)
    if found.username is not None or found.password is not None:
        raise ValueError(
            "holds a password; put it into the environment and name that in key_variable"
        )
    if found.query or found.fragment or address.endswith(("?", "#")):
        raise ValueError(
            "ends in a query or a fragment, and paths are put behind it: leave that out; a key stands in the environment, "
            "and key_variable names it"
        )
    try:
        whole = found.port != 0
    except ValueError:
        whole = False
    blank = any(letter.isspace() for letter in address)
    if not whole or blank or found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError("is no address such as http://localhost:8000/v1")
    return address


class EndpointParams(StrictModel):
    """An OpenAI-compatible server, the model asked of it, and how patient its callers are.

    The key itself stands in no parameter: ``key_variable`` names the environment variable that holds it.
    """

    url: Annotated[str, AfterValidator(bare_address)]
    model: Annotated[str, Field(min_length=1)]
    key_variable: str | None = None
    timeout: PositiveFloat = 60.0
    retries: NonNegativeInt = 5
    at_once: PositiveInt = 8
