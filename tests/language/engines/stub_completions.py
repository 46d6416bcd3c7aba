"""An OpenAI-compatible server on the loopback that answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Stub:
    """What was asked, and what comes first instead of an answer.

    Attributes:
        url: base address.
        first: replies given before any answer.
        most: answers to a request at most.
        bodies, headers: of every request for answers.
    """

    url: str = ""
    first: list[Reply] = field(default_factory=list)
    most: int = 100
    models: Reply = (200, {}, json.dumps({"data": [{"id": "base"}, {"id": "tuned"}]}).encode())
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    says: Callable[[dict[str, Any], int], tuple[str, str]] = lambda body, k: (
        f"{body['model']} {body['messages'][-1]['content']} {body['seed']} {k}",
        "stop",
    )

    def reply(self, body: dict[str, Any]) -> Reply:
        self.bodies.append(body)
        if self.first:
            return self.first.pop(0)
        said = [self.says(body, k) for k in range(min(body["n"], self.most))]
        choices = [
            {"index": k, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
            for k, (text, reason) in enumerate(said)
        ]
        return 200, {}, json.dumps({"choices": choices}).encode()


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(stub.models)

        def do_POST(self) -> None:
            stub.headers.append(dict(self.headers))
            self._send(stub.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _send(self, reply: Reply) -> None:
            status, headers, body = reply
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
