"""An OpenAI-compatible server on the loopback that answers as it is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from loopback import Asked, Said, loopback


@dataclass
class Stub:
    """What was asked, and what comes first instead of an answer.

    Attributes:
        url: base address.
        first: replies given before any answer.
        most: answers to a request at most.
        models: what it says it serves.
        bodies: of every request for answers.
        headers: of every request, by their names in small letters.
        says: text and reason of the k-th answer to a request.
    """

    url: str = ""
    first: list[Said] = field(default_factory=list)
    most: int = 100
    models: Said = field(default_factory=lambda: Said({"data": [{"id": "base"}, {"id": "tuned"}]}))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    says: Callable[[dict[str, Any], int], tuple[str, str]] = lambda body, k: (
        f"{body['model']} {body['messages'][-1]['content']} {body['seed']} {k}",
        "stop",
    )

    def reply(self, asked: Asked) -> Said:
        """What it serves, to a GET; else what stands first, or answers."""
        self.headers.append(asked.headers)
        body = asked.body
        if body is None:
            return self.models
        self.bodies.append(body)
        if self.first:
            return self.first.pop(0)
        said = [self.says(body, k) for k in range(min(body["n"], self.most))]
        choices = [
            {"index": k, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
            for k, (text, reason) in enumerate(said)
        ]
        return Said({"choices": choices})


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    def reply(asked: Asked) -> Said:
        return stub.reply(asked)  # as a test may have set it by then

    with loopback(reply) as stub.url:
        yield stub
