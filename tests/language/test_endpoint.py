"""What is asked of an OpenAI-compatible server, and what its troubles turn into."""

import socket
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


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said({"error": {"message": "rate\nlimit"}}, 429), "answered 429: rate limit"),
        (Said(b"<html>no</html>", 500), "answered 500: <html>no</html>"),
        (Said(b"{half", 200), "answered with what is no JSON"),
        (Said({"choices": [{"message": None}]}, 200), "gave an answer that is no chat completion"),
        (Said(["?"], 200), "gave an answer that is no chat completion"),
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


def test_a_url_that_holds_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="url"):
        EndpointParams(url="https://me:secret@host/v1", model="m")
