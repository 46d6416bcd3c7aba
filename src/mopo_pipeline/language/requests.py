"""Requests to a server that may be busy, slow or broken: tried again where that can help, told in a line where not."""

import http.client
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mopo_pipeline.errors import InputError

T = TypeVar("T")

PASSING = frozenset({408, 409, 425, 429})
"""Refusals, besides those from 500 on, that another try may not meet."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a request is sent again: doubled each time, never more than the longest."""

SAID = 200
"""Characters of a server's own words that are passed on."""


class EndpointError(Exception):
    """What an endpoint did not do.

    Attributes:
        status: HTTP status; None where it did not get as far.
        passing: whether another try may go better.
        after: seconds it asks to wait before that; None where it names none.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        passing: bool = False,
        after: float | None = None,
    ) -> None:
        self.status, self.passing, self.after = status, passing, after
        super().__init__(message)


class _Unmoved(HTTPRedirectHandler):
    """Follows no redirection: a key goes to the server it was given for, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = build_opener(_Unmoved)


@dataclass(frozen=True)
class Address:
    """Where to ask, and how patiently.

    Attributes:
        url: up to ``/v1``.
        key: sent as a bearer token, told to nobody else; None sends none.
        timeout: seconds until a request counts as lost.
        retries: tries after the first.
        wait: sleeps so many seconds.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float
    retries: int
    wait: Callable[[float], None]

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
            except EndpointError as error:
                if not error.passing:
                    raise
                if tried == self.retries:
                    raise EndpointError(
                        f"{error} (tried {tried + 1} times)", error.status
                    ) from None
                self.wait(min(error.after or FIRST_WAIT * 2.0**tried, LONGEST_WAIT))
        raise AssertionError("unreachable")

    def _once(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T:
        where = self.url.rstrip("/") + path
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with _OPENER.open(Request(where, data, headers), timeout=self.timeout) as reply:
                return read(json.loads(reply.read()))
        except HTTPError as error:
            raise EndpointError(
                f"{where} answered {error.code}: {_words(error, self.key)}",
                error.code,
                passing=error.code in PASSING or error.code >= 500,
                after=_seconds(error.headers.get("Retry-After")),
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EndpointError(f"{where} {_reason(error)}", passing=True) from None


def key_of(variable: str | None, url: str) -> str | None:
    """The key that an environment variable holds; None where none is named.

    Raises:
        InputError: the environment has no such variable.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"the endpoint {url} takes its key from the environment variable {variable!r}, which is not set: set it, or "
            "leave key_variable out where no key is needed"
        )
    return key


def _words(error: HTTPError, key: str | None) -> str:
    """A server's own words on one line, without the key, which some repeat."""
    try:
        body = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        body = ""
    with suppress(ValueError, KeyError, TypeError):
        told = json.loads(body)["error"]
        body = str(told["message"] if isinstance(told, dict) else told)
    line = " ".join(body.split()) or str(error.reason)
    return (line.replace(key, "***") if key else line)[:SAID]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "did not answer in time"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "answered with what is no JSON"
    if isinstance(error, OSError | http.client.HTTPException):
        return (
            f"cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}"
        )
    return f"gave an answer that {error}"


def _seconds(given: str | None) -> float | None:
    """Seconds a server asks to wait for; None where it gives none, or a date."""
    try:
        return None if given is None else max(0.0, float(given))
    except ValueError:
        return None
