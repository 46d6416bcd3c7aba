"""An OpenAI-compatible server on loopback that says what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mopo_pipeline.parameters.endpoint import EndpointParams


@dataclass(frozen=True)
class Said:
    """One answer of the server: its status, its body (JSON unless it is bytes), and its headers."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(request | {"path": self.path})
            headers.append({name.lower(): value for name, value in self.headers.items()})
            said = answer(request)
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Stub(f"http://127.0.0.1:{server.server_port}/v1", asked, headers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_turn(*said: Said) -> Callable[[dict[str, Any]], Said]:
    """These answers one after the other, the last of them from then on."""
    left = list(said)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
