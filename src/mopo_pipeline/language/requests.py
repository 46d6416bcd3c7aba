"""Requests to a server that may be busy, slow or broken: tried again where that can help, told in a line where not."""

import http.client
import json
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, getproxies, proxy_bypass

from mopo_pipeline.errors import InputError

log = logging.getLogger(__name__)

T = TypeVar("T")

PASSING = frozenset({408, 409, 425, 429})
"""Refusals, besides those from 500 on, that another try may not meet."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a request is sent again: doubled each time, never more than the longest."""

GLANCE = 0.1
"""Seconds between two looks whether a request under way is still waited for."""

SAID = 200
"""Characters of a server's own words that are passed on."""

READ = 65_536
"""Bytes that are read at a time, and all that is read of a refusal."""

_TOLD: set[tuple[str, int | None]] = set()
"""Troubles that were told while they passed: addresses and statuses, so that thousands of requests tell of one once."""


class EndpointError(Exception):
    """What an endpoint did not do.

    Attributes:
        status: HTTP status; None where it did not get as far.
        passing: whether another try may go better.
        after: seconds it asks to wait before that; None where it names none.
        said: the body of a refusal, without the key.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        passing: bool = False,
        after: float | None = None,
        said: str = "",
    ) -> None:
        self.status, self.passing, self.after, self.said = status, passing, after, said
        super().__init__(message)


class _Unmoved(HTTPRedirectHandler):
    """Follows no redirection: a key goes to the server it was given for, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Address:
    """Where to ask, and how patiently.

    Attributes:
        url: up to ``/v1``.
        key: sent as a bearer token, told to nobody else; None sends none.
        timeout: seconds until a request counts as lost.
        retries: tries after the first.
        wait: sleeps so many seconds; None does until ``over`` is set.
        over: set where nothing is awaited any more: what is under way ends, and nothing is tried again.
        cut: set where not even what is under way is: a request that blocks on its socket is left to itself.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float
    retries: int
    wait: Callable[[float], object] | None = None
    over: Event = field(default_factory=Event)
    cut: Event = field(default_factory=Event)

    def get(self, path: str) -> Any:
        """What lies there, as JSON; not tried again."""
        return self._once(path, None, lambda reply: reply)

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What ``read`` makes of the reply; a reply it raises ``ValueError`` at counts as a broken one.

        Raises:
            EndpointError: refused, failed as often as it was tried, or nothing is awaited any more.
        """
        for tried in range(self.retries + 1):
            if self.over.is_set():
                raise EndpointError(f"{self.url} is asked nothing more")
            try:
                return self._once(path, body, read)
            except EndpointError as error:
                if not error.passing:
                    raise
                if tried == self.retries:
                    raise EndpointError(
                        f"{error} (tried {tried + 1} times)", error.status
                    ) from None
                pause = min(error.after or FIRST_WAIT * 2.0**tried, LONGEST_WAIT)
                if (told := (self.url, error.status)) not in _TOLD:
                    _TOLD.add(told)
                    again = "%s: asked again after %g s, up to %d times a question; told once"
                    log.warning(again, error, pause, self.retries)
                (self.wait or self.over.wait)(pause)
        raise AssertionError("unreachable")

    def _once(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T:
        """``_exchanged`` in a thread that nobody has to wait for: reading a socket cannot be called off.

        Raises:
            EndpointError: as ``_exchanged``, or ``cut`` was set before it was done.
        """
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(self._exchanged(path, body, read))
            except BaseException as error:
                done.set_exception(error)

        Thread(target=work, daemon=True).start()
        while not done.done() and not self.cut.is_set():
            with suppress(NotYet):
                done.exception(GLANCE)
        if not done.done():
            raise EndpointError(f"{self.url} is waited for no longer")
        return done.result()

    def _exchanged(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T]) -> T:
        where = self.url.rstrip("/") + path
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        asked = Request(where, data, headers)
        until = monotonic() + self.timeout
        try:
            with build_opener(_Unmoved).open(asked, timeout=self.timeout) as reply:
                return read(json.loads(_whole(reply, until)))
        except HTTPError as error:
            told = self._hidden(_body(error))
            raise EndpointError(
                f"{where} answered {error.code}: {self._hidden(_words(told, error))[:SAID]}{_proxy(where)}",
                error.code,
                passing=error.code in PASSING or error.code >= 500,
                after=_seconds(error.headers.get("Retry-After")),
                said=told,
            ) from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            passing = not isinstance(error, http.client.InvalidURL)
            raise EndpointError(
                f"{where} {self._hidden(_reason(error))}{_proxy(where)}", passing=passing
            ) from None

    def _hidden(self, told: str) -> str:
        """What is told, without the key, which some servers repeat."""
        return told.replace(self.key, "***") if self.key else told


def _whole(reply: http.client.HTTPResponse, until: float) -> bytes:
    """The body of a reply; a socket's own timeout starts anew with each byte.

    Raises:
        TimeoutError: it is not there by then.
    """
    parts = []
    while part := reply.read1(READ):
        parts.append(part)
        if monotonic() > until:
            raise TimeoutError
    return b"".join(parts)


def _proxy(url: str) -> str:
    """That requests to an address go by way of a proxy, and which variable says so; empty where they do not."""
    address = urlsplit(url)
    if address.scheme not in getproxies() or proxy_bypass(address.netloc):
        return ""
    return f" (by way of the proxy in {address.scheme}_proxy; add {address.hostname} to no_proxy to do without)"


def key_of(variable: str | None, url: str) -> str | None:
    """The key that an environment variable holds; None where none is named.

    Raises:
        InputError: the environment has no such variable, or what it holds cannot be sent.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"the endpoint {url} takes its key from the environment variable {variable!r}, which is not set: set it, or "
            "leave key_variable out where no key is needed"
        )
    if not all("!" <= letter <= "~" for letter in key):
        raise InputError(
            f"the environment variable {variable!r}, the key of the endpoint {url}, holds white space or letters that no key "
            "has (such as the end of a line, or typographic quotation marks): set it to the bare key"
        )
    return key


def _body(error: HTTPError) -> str:
    """What comes with a refusal; empty where it cannot be read."""
    try:
        return error.read(READ).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""


def _words(body: str, error: HTTPError) -> str:
    """A server's own words on one line."""
    with suppress(ValueError, KeyError, TypeError):
        told = json.loads(body)["error"]
        body = str(told["message"] if isinstance(told, dict) else told)
    return " ".join(body.split()) or str(error.reason)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "did not answer in time"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "answered with what is no JSON"
    if isinstance(error, http.client.InvalidURL):
        return f"is no address: {error}"
    if isinstance(error, OSError | http.client.HTTPException):
        return (
            f"cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}"
        )
    return f"gave an answer that {error}"


def _seconds(given: str | None) -> float | None:
    """Seconds a server asks to wait for, as a number or until a date; None where it gives neither."""
    if given is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(given))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    return None
