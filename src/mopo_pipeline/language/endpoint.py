"""Ask a model behind an OpenAI-compatible server: what it answers, and how likely its tokens were."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.endpoint import EndpointParams

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a request is sent again: doubled each time, never more than the longest."""

PASSING = frozenset({408, 409, 425, 429})
"""Refusals, besides those from 500 on, that another try may not meet."""

SAID = 200
"""Characters of a server's own words that are passed on."""


@dataclass(frozen=True)
class Reply:
    """One answer of a model.

    Attributes:
        text: as the server gives it.
        ended: whether the model ended it, rather than the limit of tokens.
        tokens: for each of its tokens the likeliest ones at its place, with their log-probabilities; empty
            where none were asked for, or the server gives none.
    """

    text: str
    ended: bool
    tokens: tuple[Mapping[str, float], ...] = ()


def chat(
    endpoint: EndpointParams,
    messages: Sequence[Mapping[str, str]],
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    n: int = 1,
    seed: int | None = None,
    top_logprobs: int = 0,
    wait: Callable[[float], None] = time.sleep,
) -> list[Reply]:
    """Answers to a conversation.

    What may pass (no connection, no answer in time, 429, 5xx, a broken body) is tried again, after as long as the
    server asks for or twice as long as before; anything else is told at once.

    Args:
        endpoint: the server, the model and how often to try again.
        messages: role and content of each.
        max_tokens: longest answer.
        temperature: >= 0; 0 is greedy.
        top_p: nucleus in (0, 1].
        n: answers.
        seed: of the draws, for servers that know seeds.
        top_logprobs: how many of the likeliest tokens are told at each place, 0 to 20.
        wait: sleeps so many seconds.

    Returns:
        ``n`` answers.

    Raises:
        InputError: the key's variable is not set; the server is down, refuses, or does not speak this
            protocol.
    """
    asked: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [dict(message) for message in messages],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "n": n,
    }
    if seed is not None:
        asked["seed"] = seed
    if top_logprobs:
        asked |= {"logprobs": True, "top_logprobs": top_logprobs}
    return _patiently(endpoint, asked, n, wait)


def _patiently(
    endpoint: EndpointParams, asked: Mapping[str, Any], n: int, wait: Callable[[float], None]
) -> list[Reply]:
    """Replies to a request that is sent again where that may help."""
    key = _key(endpoint)
    problem, pause = "", FIRST_PAUSE
    for tried in range(endpoint.retries + 1):
        if tried:
            wait(pause)
        try:
            return _replies(_post(endpoint, asked, key), n)
        except urllib.error.HTTPError as error:
            problem = f"answered {error.code}: {_said(error, key)}"
            if error.code not in PASSING and error.code < 500:
                break
            pause = _asked_pause(error) or min(FIRST_PAUSE * 2**tried, LONGEST_PAUSE)
        except (OSError, HTTPException, ValueError) as error:
            problem = _reason(error)
            pause = min(FIRST_PAUSE * 2**tried, LONGEST_PAUSE)
    raise InputError(
        f"the endpoint {endpoint.url}, model {endpoint.model!r}, {problem} (tried {tried + 1} times): check its url, "
        f"its model and its key ({endpoint.key_variable or 'no key_variable is set'})"
    )


class _Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: a key goes to the server it was given for, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Unmoved)


def _post(endpoint: EndpointParams, asked: Mapping[str, Any], key: str) -> Any:
    """What the server says to a request, as JSON."""
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {key}"} if key else {}
    )
    request = urllib.request.Request(
        endpoint.url.rstrip("/") + "/chat/completions",
        json.dumps(asked).encode(),
        headers,
        method="POST",
    )
    with _OPENER.open(request, timeout=endpoint.timeout) as answer:
        return json.loads(answer.read())


def _key(endpoint: EndpointParams) -> str:
    if endpoint.key_variable is None:
        return ""
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        raise InputError(
            f"the endpoint {endpoint.url} takes its key from the environment variable {endpoint.key_variable!r}, which is "
            "not set: set it, or leave key_variable out where no key is needed"
        )
    return key


def _replies(said: Any, n: int) -> list[Reply]:
    """Answers in a server's JSON.

    Raises:
        ValueError: it does not hold ``n`` answers.
    """
    try:
        found = [_reply(choice) for choice in said["choices"]]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("is no chat completion") from None
    if len(found) != n:
        raise ValueError(f"holds {len(found)} answers, {n} were asked for")
    return found


def _reply(choice: Mapping[str, Any]) -> Reply:
    told = (choice.get("logprobs") or {}).get("content") or ()
    return Reply(
        str(choice["message"]["content"] or ""),
        choice.get("finish_reason") == "stop",
        tuple(
            {top["token"]: float(top["logprob"]) for top in place["top_logprobs"]} for place in told
        ),
    )


def _asked_pause(error: urllib.error.HTTPError) -> float | None:
    """Seconds a server asks its callers to wait; None where it names none."""
    try:
        named = float(error.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(named, 0.0), LONGEST_PAUSE)


def _said(error: urllib.error.HTTPError, key: str) -> str:
    """A server's own words on one line, without the key, which some repeat."""
    try:
        body = error.read().decode(errors="replace")
    except (OSError, HTTPException):
        body = ""
    try:
        told = json.loads(body)["error"]
        body = str(told["message"] if isinstance(told, dict) else told)
    except (ValueError, KeyError, TypeError):
        pass
    line = " ".join(body.split()) or str(error.reason)
    return (line.replace(key, "***") if key else line)[:SAID]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "did not answer in time"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "answered with what is no JSON"
    if isinstance(error, OSError | HTTPException):
        return (
            f"cannot be reached: {getattr(error, 'reason', None) or error or type(error).__name__}"
        )
    return f"gave an answer that {error}"
