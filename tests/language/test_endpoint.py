"""What is asked of an OpenAI-compatible server, and what its troubles turn into."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.endpoint import chat
from mopo_pipeline.language.requests import LONGEST_WAIT
from mopo_pipeline.parameters.endpoint import EndpointParams
from stub_endpoint import Said, completion, in_turn, stub_endpoint

ASKED = [{"role": "user", "content": "Why?"}]


def ask(endpoint: EndpointParams, waited: list[float] | None = None, **told: Any) -> Any:
    pauses = [] if waited is None else waited
    return chat(endpoint, ASKED, max_tokens=4, wait=pauses.append, **told)


def test_answers_come_with_the_log_probabilities_that_were_asked_for() -> None:
    tops = [{"A": -0.1, "B": -2.4}]
    with stub_endpoint(in_turn(completion("A", "B", tops=tops, end="length"))) as server:
        replies = ask(server.endpoint(), n=2, top_logprobs=5, temperature=0.0, seed=3)
    assert [(r.text, r.ended, r.tokens) for r in replies] == [
        ("A", False, (tops[0],)),
        ("B", False, (tops[0],)),
    ]
    sent = server.asked[0]
    assert sent["path"] == "/v1/chat/completions"
    assert (sent["model"], sent["n"], sent["top_logprobs"], sent["logprobs"]) == (
        "stub",
        2,
        5,
        True,
    )
    assert (sent["messages"], sent["seed"], sent["temperature"]) == (ASKED, 3, 0.0)


def test_what_passes_is_tried_again_after_as_long_as_the_server_asks() -> None:
    waited: list[float] = []
    troubles = (
        Said({"error": {"message": "slow down"}}, 429, {"Retry-After": "7"}),
        Said(b"oh no", 500),
        Said(b"{half", 200),
        Said({"choices": []}, 200),
        Said(b"", 503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        Said(b"", 429, {"Retry-After": "86400"}),
    )
    with stub_endpoint(in_turn(*troubles, completion("yes"))) as server:
        (reply,) = ask(server.endpoint(retries=6), waited)
    assert (reply.text, reply.ended) == ("yes", True)
    assert waited == [7.0, 2.0, 4.0, 8.0, 16.0, LONGEST_WAIT]


def test_a_date_to_wait_for_is_waited_for() -> None:
    waited: list[float] = []
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    busy = Said(b"", 429, {"Retry-After": then})
    with stub_endpoint(in_turn(busy, completion("yes"))) as server:
        ask(server.endpoint(), waited)
    assert 20 < waited[0] <= 30


def test_a_trouble_that_passes_is_told_once_whatever_the_number_of_questions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    busy, down = Said({"error": "slow down"}, 429), Said(b"", 503)
    turns = in_turn(busy, completion("a"), busy, down, completion("b"))
    with stub_endpoint(turns) as server, caplog.at_level(logging.WARNING):
        for _ in range(2):
            ask(server.endpoint())
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].endswith(
        "answered 429: slow down: asked again after 1 s, up to 5 times a question; told once"
    )
    assert "answered 503" in told[1]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said({"error": {"message": "rate\nlimit"}}, 429), "answered 429: rate limit"),
        (Said(b"<html>no</html>", 500), "answered 500: <html>no</html>"),
        (Said(b"{half", 200), "answered with what is no JSON"),
        (Said({"choices": [{"message": None}]}, 200), "gave an answer that is no chat completion"),
        (Said(["?"], 200), "gave an answer that is no chat completion"),
        (Said(b"[" * 100_000, 200), "answered with what is no JSON"),
        (Said({"choices": [{"message": {"content": 7}}]}), "that holds a int where the text"),
        (Said({"choices": [{"message": {"content": ["x"]}}]}), "that holds a list where the text"),
        (completion("a", "b"), "gave an answer that holds 2 answers, 1 were asked for"),
    ],
)
def test_what_does_not_pass_is_one_line_with_the_last_trouble(said: Said, told: str) -> None:
    with (
        stub_endpoint(in_turn(said)) as server,
        pytest.raises(InputError, match="the endpoint http://127") as caught,
    ):
        ask(server.endpoint(retries=2))
    assert told in str(caught.value)
    assert "(tried 3 times)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 307])
def test_a_refusal_is_told_at_once(status: int) -> None:
    moved = {"Location": "http://127.0.0.1:9/elsewhere"}
    with (
        stub_endpoint(in_turn(Said(b'{"error": "no"}', status, moved))) as server,
        pytest.raises(InputError, match=f"answered {status}: no"),
    ):
        ask(server.endpoint())
    assert len(server.asked) == 1


def test_a_server_that_is_down_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    waited: list[float] = []
    with pytest.raises(InputError, match=r"cannot be reached: .*refused.*\(tried 3 times\)"):
        ask(EndpointParams(url=url, model="m", retries=2), waited)
    assert waited == [1.0, 2.0]


def test_a_server_that_does_not_answer_in_time_is_one_line() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(InputError, match="did not answer in time"):
            ask(EndpointParams(url=url, model="m", retries=0, timeout=0.05))


def test_the_key_is_read_from_the_environment_and_never_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STUB_KEY", "sk-very-secret")
    told = Said({"error": {"message": "Incorrect API key: sk-very-secret"}}, 401)
    with stub_endpoint(in_turn(told)) as server:
        endpoint = server.endpoint(key_variable="STUB_KEY")
        with pytest.raises(InputError, match=r"Incorrect API key: \*\*\*") as caught:
            ask(endpoint)
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert "secret" not in f"{caught.value} {endpoint} {endpoint.model_dump()}"


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "\u201csk-one\u201d"])
def test_a_key_that_cannot_be_sent_is_told_without_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_KEY", key)
    with (
        stub_endpoint(in_turn(completion("never"))) as server,
        pytest.raises(InputError, match="variable 'STUB_KEY', the key of the endpoint") as caught,
    ):
        ask(server.endpoint(key_variable="STUB_KEY"))
    assert "sk-" not in str(caught.value)
    assert server.asked == []


def test_a_key_that_an_odd_answer_repeats_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_KEY", "sk-very-secret")
    long = Said({"error": "x" * 195 + "sk-very-secret"}, 401)
    with stub_endpoint(in_turn(long)) as server, pytest.raises(InputError) as caught:
        ask(server.endpoint(key_variable="STUB_KEY"))
    assert "sk-" not in str(caught.value)


def test_a_proxy_is_named_where_a_request_goes_through_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with stub_endpoint(in_turn(Said(b"<html>not allowed</html>", 403))) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        far = EndpointParams(url="http://localhost:9/v1", model="m", retries=0)
        with pytest.raises(
            InputError,
            match=r"403: <html>not allowed.*the proxy in http_proxy; add localhost to no_proxy",
        ):
            ask(far)
        monkeypatch.setenv("no_proxy", "localhost")
        with pytest.raises(InputError, match=r"cannot be reached: (?!.*proxy)"):
            ask(far)


def test_an_answer_that_comes_by_the_byte_is_not_waited_for_beyond_the_time() -> None:
    with socket.socket() as dripping:
        dripping.bind(("127.0.0.1", 0))
        dripping.listen()

        def drip() -> None:
            taken, _ = dripping.accept()
            with taken:
                taken.recv(65_536)
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
                for _ in range(40):
                    try:
                        taken.sendall(b" ")
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{dripping.getsockname()[1]}/v1"
        start = time.monotonic()
        with pytest.raises(InputError, match="did not answer in time"):
            ask(EndpointParams(url=url, model="m", retries=0, timeout=0.2))
        assert time.monotonic() - start < 1.5
        thread.join()


def test_parts_of_an_answer_are_put_together_and_thoughts_left_out() -> None:
    parts = [
        {"type": "thinking", "thinking": "hm", "text": "hm"},
        {"type": "text", "text": "a wren,"},
        {"type": "text", "text": " say"},
    ]
    held = {"finish_reason": "content_filter", "message": {"content": None}}
    said = [{"finish_reason": "stop", "message": {"content": parts}}, held]
    with stub_endpoint(in_turn(Said({"choices": said}))) as server:
        first, second = ask(server.endpoint(), n=2)
    assert (first.text, first.ended, first.filtered) == ("a wren, say", True, False)
    assert (second.text, second.ended, second.filtered) == ("", False, True)


def test_a_key_that_is_not_set_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STUB_KEY", raising=False)
    with (
        stub_endpoint(in_turn(completion("never"))) as server,
        pytest.raises(InputError, match="'STUB_KEY', which is not set"),
    ):
        ask(server.endpoint(key_variable="STUB_KEY"))
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:secret@host/v1", "holds a password"),
        ("https://host/v1?key=secret", "ends in a query"),
        ("http://localhost:80a/v1", "is no address"),
        ("localhost:8000/v1", "is no address"),
    ],
)
def test_an_address_that_cannot_be_shown_or_asked_is_refused(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EndpointParams(url=url, model="m")
