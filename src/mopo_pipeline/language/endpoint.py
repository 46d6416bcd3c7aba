"""Ask a model behind an OpenAI-compatible server: what it answers, and how likely its tokens were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.dialects import complete
from mopo_pipeline.language.requests import Address, EndpointError, key_of
from mopo_pipeline.parameters.endpoint import EndpointParams

FILTERED = "content_filter"
"""Reason for the end of an answer that a filter of the server held back."""


@dataclass(frozen=True)
class Reply:
    """One answer of a model.

    Attributes:
        text: as the server gives it.
        ended: whether the model ended it, rather than the limit of tokens.
        filtered: whether a filter of the server held it back, in whole or in part.
        tokens: for each of its tokens the likeliest ones at its place, with their log-probabilities; empty
            where none were asked for, or the server gives none.
    """

    text: str
    ended: bool
    filtered: bool = False
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
    wait: Callable[[float], object] | None = None,
    over: Event | None = None,
) -> list[Reply]:
    """Answers to a conversation.

    What may pass (no connection, no answer in time, 429, 5xx, a broken body) is tried again, after as long as the
    server asks for or twice as long as before; words that the server refuses are changed where that asks for the same
    (``dialects``); anything else is told at once.

    Args:
        endpoint: the server, the model and how often to try again.
        messages: role and content of each.
        max_tokens: longest answer.
        temperature: >= 0; 0 is greedy.
        top_p: nucleus in (0, 1].
        n: answers.
        seed: of the draws, for servers that know seeds.
        top_logprobs: how many of the likeliest tokens are told at each place, 0 to 20.
        wait: sleeps so many seconds; None does until ``over`` is set.
        over: set where its answer is awaited no more: not even one that is under way.

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
    key = key_of(endpoint.key_variable, endpoint.url)
    over = over or Event()
    address = Address(endpoint.url, key, endpoint.timeout, endpoint.retries, wait, over, over)
    try:
        return complete(address, asked, partial(_replies, n=n))
    except EndpointError as error:
        raise InputError(
            f"the endpoint {error}, model {endpoint.model!r}: check its url, its model and its key "
            f"({endpoint.key_variable or 'no key_variable is set'})"
        ) from None


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
    reason = choice.get("finish_reason")
    places = (
        {top["token"]: float(top["logprob"]) for top in place.get("top_logprobs") or ()}
        for place in told
    )
    return Reply(
        content_of(choice["message"]) or "",
        reason == "stop",
        reason == FILTERED,
        tuple(places),
    )


def content_of(message: Mapping[str, Any]) -> str | None:
    """The words of a message in a reply; None where it has none.

    >>> content_of({"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]})
    'Yes.'

    Raises:
        ValueError: its content is neither text nor a list of parts.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise ValueError(f"holds a {type(content).__name__} where the text of an answer stands")
    texts = [part.get("text") for part in content if part.get("type", "text") == "text"]
    said = [text for text in texts if isinstance(text, str)]
    return "".join(said) if said else None
