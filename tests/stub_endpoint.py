"""An OpenAI-compatible server on loopback that says what a test tells it to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loopback import Asked, Said, loopback
from mopo_pipeline.parameters.endpoint import EndpointParams


@dataclass(frozen=True)
class Stub:
    """A running server: where it stands, and every request it was sent, with its headers."""

    url: str
    asked: list[dict[str, Any]]
    headers: list[dict[str, str]]

    def endpoint(self, **told: Any) -> EndpointParams:
        return EndpointParams(**({"url": self.url, "model": "stub", "timeout": 5.0} | told))


def completion(*texts: str, tops: list[dict[str, float]] | None = None, end: str = "stop") -> Said:
    """A chat completion with these answers, and the log-probabilities of each place."""
    told = tops and {
        "content": [
            {
                "token": max(top, key=lambda token: top[token]),
                "logprob": max(top.values()),
                "top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()],
            }
            for top in tops
        ]
    }
    choices = [
        {
            "index": i,
            "finish_reason": end,
            "message": {"role": "assistant", "content": text},
            "logprobs": told,
        }
        for i, text in enumerate(texts)
    ]
    return Said({"object": "chat.completion", "choices": choices})


@contextmanager
def stub_endpoint(answer: Callable[[dict[str, Any]], Said]) -> Iterator[Stub]:
    """A server that answers each request by ``answer``."""
    asked: list[dict[str, Any]] = []
    headers: list[dict[str, str]] = []

    def reply(request: Asked) -> Said:
        assert request.body is not None
        asked.append(request.body | {"path": request.path})
        headers.append(request.headers)
        return answer(request.body)

    with loopback(reply) as url:
        yield Stub(url, asked, headers)


def in_turn(*said: Said) -> Callable[[dict[str, Any]], Said]:
    """These answers one after the other, the last of them from then on."""
    left = list(said)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
