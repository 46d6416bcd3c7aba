"""Requests to an address that may be busy, slow or broken: tried again where that can help, told in a line where not."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

T = TypeVar("T")

pause = time.sleep

BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers of a server that may say something else in a moment."""

LONGEST_WAIT = 60.0
"""Seconds between two tries, at most."""


class EndpointError(Exception):
    """What an endpoint did not do.

    Attributes:
        status: HTTP status; None where it did not get as far.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class _Stay(HTTPRedirectHandler):
    """A key given to one address is not carried to another."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


@dataclass(frozen=True)
class Address:
    """Where to ask, and how patiently.

    Attributes:
        url: up to ``/v1``.
        key: sent as a bearer token, told to nobody else.
        timeout: seconds until a request counts as lost.
        retries: tries after the first.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float
    retries: int

    def get(self, path: str) -> Any:
        """What lies there, as JSON; not tried again."""
        return self._once(path, None, lambda reply: reply)

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the reply; a reply it raises ``ValueError`` at counts as a broken one.

        Raises:
            EndpointError: refused, or failed as often as it was tried.
        """
        for tried in range(self.retries + 1):
            try:
                return self._once(path, body, read)
            except _BusyError as error:
                if tried == self.retries:
                    raise EndpointError(f"{error}, {tried + 1} times", error.status) from None
                pause(min(error.after or 2.0**tried, LONGEST_WAIT))
        raise AssertionError("unreachable")

    def _once(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T:
        where = self.url.rstrip("/") + path
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(where, data=data, headers=headers)
        try:
            with build_opener(_Stay).open(request, timeout=self.timeout) as reply:
                return read(json.loads(reply.read()))
        except HTTPError as error:
            said = f"{where} answered {error.code} {error.reason}{_words(error, self.key)}"
            if error.code in BUSY:
                raise _BusyError(
                    said, error.code, _seconds(error.headers.get("Retry-After"))
                ) from None
            raise EndpointError(said, error.code) from None
        except (URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error) or type(error).__name__
            raise _BusyError(f"{where} does not answer ({reason})") from None
        except ValueError as error:
            raise _BusyError(f"{where} gave a broken reply ({error})") from None


class _BusyError(EndpointError):
    """What may go better in a moment, after so many seconds where the server says so."""

    def __init__(self, message: str, status: int | None = None, after: float | None = None) -> None:
        self.after = after
        super().__init__(message, status)


def _words(error: HTTPError, key: str | None) -> str:
    """What the server says of its refusal, without the key should it repeat that."""
    try:
        said = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(said)["error"]["message"]
    first = " ".join(str(said).split())[:200]
    return f": {first.replace(key, '***') if key else first}" if first else ""


def _seconds(given: str | None) -> float | None:
    """Seconds a server asks to wait for; None where it gives none, or a date."""
    try:
        return None if given is None else max(0.0, float(given))
    except ValueError:
        return None
