"""Servers of the same protocol that refuse some of its words: asked otherwise where that asks for the same."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from mopo_pipeline.language.requests import Address, EndpointError

log = logging.getLogger(__name__)

T = TypeVar("T")
Body = Mapping[str, Any]

COMPLETIONS = "/chat/completions"
REFUSALS = (400, 422)
"""Statuses of a server that does not take a request as it is written."""

FEW = 5
"""Likeliest tokens that servers tell of which refuse to tell more."""


class Change(NamedTuple):
    """Another way to ask for the same.

    Attributes:
        fits: whether it may help, of what was asked and what the refusal says.
        ask: what is asked instead.
        told: what a user is told of it.
    """

    fits: Callable[[Body, str], bool]
    ask: Callable[[Body], dict[str, Any]]
    told: str


CHANGES = (
    Change(
        lambda body, said: "max_tokens" in body and "max_completion_tokens" in said,
        lambda body: _without(body, "max_tokens") | {"max_completion_tokens": body["max_tokens"]},
        "takes max_completion_tokens for max_tokens, and counts what a model thinks among them",
    ),
    Change(
        lambda body, said: body.get("top_logprobs", 0) > FEW and "logprobs" in said,
        lambda body: {**body, "top_logprobs": FEW},
        f"tells of no more likely tokens than {FEW} (`top_logprobs`)",
    ),
    Change(
        lambda body, said: "seed" in body and _names("seed", said),
        lambda body: _without(body, "seed"),
        "takes no seed: other answers may come another time",
    ),
    Change(
        lambda body, said: body.get("n", 1) > 1 and _names("n", said),
        lambda body: {**body, "n": 1},
        "gives one answer to a request: it is sent a request for each",
    ),
)
"""What is tried, each once."""

_KNOWN: dict[tuple[str, str], tuple[Change, ...]] = {}
"""What a server and its model were asked with at last, by address and name, so that each is found out once."""


def complete(address: Address, body: Body, read: Callable[[Any], T]) -> T:
    """What ``read`` makes of a chat completion, asked for as the server takes it.

    Of what a server refuses, the words it names are changed (``CHANGES``) and it is asked again; what went well is
    remembered and told once. One that gives fewer answers than ``n`` has ``read`` see to it.

    Raises:
        EndpointError: refused however it was asked, or failed as often as it was tried.
    """
    place = address.url, str(body.get("model"))
    known = changes = _KNOWN.get(place, ())
    while True:
        asked: Body = body
        for change in changes:
            asked = change.ask(asked)
        try:
            reply = address.post(COMPLETIONS, asked, read)
        except EndpointError as error:
            if error.status not in REFUSALS:
                raise
            fitting = [c for c in CHANGES if c not in changes and c.fits(asked, error.said)]
            if not fitting:
                raise
            changes = (*changes, fitting[0])
            continue
        if changes != known and _KNOWN.get(place, ()) != changes:
            _KNOWN[place] = changes
            for change in changes[len(known) :]:
                log.warning("%s, model %s, %s", *place, change.told)
        return reply


def _without(body: Body, name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def _names(word: str, said: str) -> bool:
    """Whether a refusal names a word of the protocol, in quotation marks.

    >>> _names("n", "'n' : number must be at most 1"), _names("n", "not in the list")
    (True, False)
    """
    return re.search(rf"[\"'`\u2018\u201c]{word}[\"'`\u2019\u201d]", said) is not None
