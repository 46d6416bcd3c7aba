"""Answers of an OpenAI-compatible address: asked patiently, kept on disk, never asked for twice."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from language.engines.stub_completions import Stub, serving
from loopback import Asked, Said
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.engines import endpoint as asking
from mopo_pipeline.language.engines.endpoint import check_endpoint, from_endpoint
from mopo_pipeline.language.generation import Answer
from mopo_pipeline.parameters.engine import EngineParams
from mopo_pipeline.tables import chat_prompt

PROMPTS = [chat_prompt("how"), chat_prompt("why")]
DECODING: dict[str, Any] = {
    "n": 3,
    "max_new_tokens": 9,
    "seed": 1,
    "temperature": 0.7,
    "top_p": 0.9,
}


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as running:
        yield running


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited."""
    seconds: list[float] = []
    monkeypatch.setattr(asking, "pause", seconds.append)
    return seconds


def engine(stub: Stub, folder: Path, **given: Any) -> EngineParams:
    return EngineParams(
        kind="endpoint", base_url=stub.url, served="tuned", work_dir=folder / "kept", **given
    )


def drawn(params: EngineParams, prompts: list[str] = PROMPTS, **given: Any) -> list[list[Answer]]:
    options = DECODING | {"description": "answers"} | given
    version = options.pop("version", "v1")
    return from_endpoint(params, "tuned", version, prompts, **options)


def kept_file(folder: Path) -> Path:
    [file] = (folder / "kept").glob("*.jsonl")
    return file


def test_a_prompt_is_asked_once_for_all_its_answers_with_every_setting(
    stub: Stub, tmp_path: Path
) -> None:
    found = drawn(engine(stub, tmp_path))
    assert [len(of) for of in found] == [3, 3]
    assert all(a.ended and a.text.startswith("tuned how") for a in found[0])
    body = next(b for b in stub.bodies if b["messages"][-1]["content"] == "how")
    assert body["messages"] == [{"role": "user", "content": "how"}]
    asked = {k: body[k] for k in ("model", "n", "max_tokens", "temperature", "top_p")}
    assert asked == {"model": "tuned", "n": 3, "max_tokens": 9, "temperature": 0.7, "top_p": 0.9}
    assert len(stub.bodies) == 2 and "logprobs" not in body


def test_what_was_answered_is_not_asked_again_but_more_of_it_is(stub: Stub, tmp_path: Path) -> None:
    params = engine(stub, tmp_path)
    first = drawn(params)
    assert drawn(params) == first
    assert len(stub.bodies) == 2
    more = drawn(params, [*PROMPTS, chat_prompt("who")], n=4)
    assert [of[:3] for of in more[:2]] == first
    assert sorted(b["n"] for b in stub.bodies[2:]) == [1, 1, 4]


@pytest.mark.parametrize("other", [{"seed": 2}, {"temperature": 1.0}, {"version": "v2"}])
def test_another_setting_or_other_weights_are_asked_anew(
    stub: Stub, tmp_path: Path, other: dict[str, Any]
) -> None:
    drawn(engine(stub, tmp_path))
    drawn(engine(stub, tmp_path), **other)
    assert len(stub.bodies) == 4


def test_a_prompt_that_is_repeated_gets_answers_of_its_own(stub: Stub, tmp_path: Path) -> None:
    one, two = drawn(engine(stub, tmp_path), [PROMPTS[0]] * 2)
    assert not set(one) & set(two)


def test_a_server_that_gives_one_answer_at_a_time_is_asked_until_there_are_enough(
    stub: Stub, tmp_path: Path
) -> None:
    stub.most = 1
    [found] = drawn(engine(stub, tmp_path), PROMPTS[:1])
    assert len(set(found)) == 3
    assert [b["n"] for b in stub.bodies] == [3, 2, 1]


def test_an_answer_that_was_cut_counts_as_cut(stub: Stub, tmp_path: Path) -> None:
    stub.says = lambda body, k: (" half a w\ufffd", "length") if k else ("", "stop")
    [found] = drawn(engine(stub, tmp_path), PROMPTS[:1])
    assert found == [Answer("", True), Answer("half a w", False), Answer("half a w", False)]


def test_what_a_filter_held_back_and_what_has_no_text_is_counted_and_told(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [("so far", "content_filter"), (None, "length"), ("whole", "stop")]
    stub.says = lambda _, k: odd[k]  # type: ignore[assignment, return-value]
    [found] = drawn(engine(stub, tmp_path), PROMPTS[:1])
    assert found == [Answer("so far", False, True), Answer("", False), Answer("whole", True)]
    assert drawn(engine(stub, tmp_path), PROMPTS[:1]) == [found], "kept as it is"
    assert "model tuned: 1 answers were held back by its filter" in caplog.text
    assert "model tuned: 1 answers have no text" in caplog.text


def test_nothing_more_is_asked_once_a_user_stops_it(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking.KeptAnswers, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        drawn(engine(stub, tmp_path, at_once=1), [chat_prompt(f"why {i}") for i in range(40)])
    assert len(stub.bodies) < 20


def test_a_user_who_stops_it_does_not_wait_for_a_server_that_says_nothing(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def reply(request: Asked) -> Said:
        if request.body and request.body["messages"][-1]["content"] == "silent":
            asked.set()
            ended.wait(20)
        return Stub.reply(stub, request)

    def stop(*_: Any) -> None:
        asked.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr(stub, "reply", reply)
    monkeypatch.setattr(asking.KeptAnswers, "add", stop)
    monkeypatch.setattr(asking, "PARTING", 0.1)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        drawn(engine(stub, tmp_path, timeout=20), [chat_prompt("silent"), chat_prompt("why")])
    assert time.monotonic() - start < 5, "the silent one would be waited for until it times out"
    ended.set()


@pytest.mark.parametrize("end", ["stopped", "refused"])
def test_what_is_under_way_when_a_draw_ends_is_kept_and_not_tried_again(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(asking, "pause", None)
    first, slow = threading.Event(), threading.Event()
    says = stub.says

    def taken_in_turn(body: dict[str, Any], k: int) -> tuple[str, str]:
        about = body["messages"][-1]["content"]
        if about == "slow":
            slow.set()
            address.over.wait(5)  # comes once nothing is awaited any more
        return says(body, k)

    def reply(asked: Asked) -> Said:
        about = asked.body and asked.body["messages"][-1]["content"]
        if about == "busy":
            stub.bodies.append(asked.body or {})
            first.set()
            return Said({}, 429, {"Retry-After": "30"})
        if about == "first":
            first.wait(5)
            slow.wait(5)
            if end == "refused":
                return Said({}, 402)
        return Stub.reply(stub, asked)

    stub.says, stub.most = taken_in_turn, 1
    monkeypatch.setattr(stub, "reply", reply)
    add = asking.KeptAnswers.add

    def stop(self: Any, prompt: str, answers: dict[int, Answer]) -> None:
        add(self, prompt, answers)
        if "first" in prompt:
            raise KeyboardInterrupt

    if end == "stopped":
        monkeypatch.setattr(asking.KeptAnswers, "add", stop)
    params = engine(stub, tmp_path, at_once=3)
    address = asking.address_of(params)
    monkeypatch.setattr(asking, "address_of", lambda _: address)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt if end == "stopped" else InputError):
        drawn(params, [chat_prompt(said) for said in ("busy", "slow", "first")])
    assert time.monotonic() - start < 5, "the busy one would be waited for half a minute"
    assert [b["messages"][-1]["content"] for b in stub.bodies].count("busy") == 1
    kept = [json.loads(line)["text"] for line in kept_file(tmp_path).read_text().splitlines()]
    assert sum("slow" in text for text in kept) == 1, "paid for, and the only one of three asked"


LIKE_ONES_WHO_REFUSE: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_tokens": (
        {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "param": "max_tokens",
        },
        {"max_completion_tokens": 9},
    ),
    "seed": ([{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}], {}),
    "n": ({"message": "'n' : number must be at most 1"}, {"n": 1}),
}


@pytest.mark.parametrize("word", LIKE_ONES_WHO_REFUSE)
def test_words_that_a_server_refuses_are_said_otherwise_once_and_remembered(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    refusal, instead = LIKE_ONES_WHO_REFUSE[word]
    refused: list[dict[str, Any]] = []

    def reply(asked: Asked) -> Said:
        body = asked.body or {}
        if word in body and not (word == "n" and body["n"] == 1):
            refused.append(body)
            key = "detail" if word == "seed" else "error"
            return Said({key: refusal}, 422 if word == "seed" else 400)
        return Stub.reply(stub, Asked(asked.path, asked.headers, {"n": 1, "seed": 0} | body))

    stub.reply = reply  # type: ignore[method-assign]
    found = drawn(engine(stub, tmp_path, at_once=1))
    assert [len(of) for of in found] == [3, 3]
    assert len(refused) == 1, "found out once"
    assert all(instead.items() <= body.items() for body in stub.bodies)
    assert len([r for r in caplog.records if "model tuned, " in r.getMessage()]) == 1


def test_a_server_that_refuses_a_word_whatever_is_said_for_it_is_one_line(
    stub: Stub, tmp_path: Path
) -> None:
    stub.first = [Said({"error": "max_tokens or max_completion_tokens is too large"}, 400)] * 2
    with pytest.raises(
        InputError, match=r"answered 400: max_tokens or .* is too large, asked 'how'"
    ):
        drawn(engine(stub, tmp_path), PROMPTS[:1])
    drawn(engine(stub, tmp_path), PROMPTS[:1])
    assert stub.bodies[-1]["max_tokens"] == 9, "what did not help is not remembered"


BROKEN = {
    "too many requests": Said({}, 429, {"Retry-After": "7"}),
    "out of order": Said(b"<html>", 500),
    "no JSON": Said(b'{"choices": [{"mess'),
    "no choices": Said({"choices": []}),
    "another shape": Said({"answers": ["x"]}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_may_pass_is_tried_again(
    stub: Stub, tmp_path: Path, waited: list[float], name: str
) -> None:
    stub.first = [BROKEN[name]] * 2
    [found] = drawn(engine(stub, tmp_path), PROMPTS[:1])
    assert len(found) == 3 and len(stub.bodies) == 3
    assert waited == ([7.0, 7.0] if "requests" in name else [1.0, 2.0])


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_pass_is_told_once_and_what_was_answered_is_kept(
    stub: Stub, tmp_path: Path, name: str
) -> None:
    params = engine(stub, tmp_path, retries=2, at_once=1)
    drawn(params, PROMPTS[:1])
    stub.first = [BROKEN[name]] * 3
    with pytest.raises(
        InputError, match=r"\(tried 3 times\), asked 'why'.*kept in .*run again to go on"
    ):
        drawn(params)
    assert len(stub.bodies) == 4
    assert len(drawn(params)) == 2 and len(stub.bodies) == 5


def test_what_is_refused_is_not_tried_again(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    stub.first = [Said({"error": {"message": "no such key: sk-secret"}}, 401)]
    params = engine(stub, tmp_path, key_variable="SOME_KEY")
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError) as caught:
        drawn(params, PROMPTS[:1])
    assert "answered 401" in str(caught.value) and "no such key: ***" in str(caught.value)
    assert len(stub.bodies) == 1
    assert stub.headers[0]["authorization"] == "Bearer sk-secret"
    drawn(params, PROMPTS[:1])
    written = kept_file(tmp_path).read_text()
    assert "sk-secret" not in caplog.text + str(params) + written + kept_file(tmp_path).name


def test_a_key_is_not_carried_to_where_a_server_points(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    with serving(Stub()) as elsewhere:
        stub.first = [Said(b"", 302, {"Location": f"{elsewhere.url}/chat/completions"})]
        with pytest.raises(InputError, match="answered 302"):
            drawn(engine(stub, tmp_path, key_variable="SOME_KEY"), PROMPTS[:1])
        assert elsewhere.headers == []


def test_a_line_that_was_cut_off_is_asked_again(stub: Stub, tmp_path: Path) -> None:
    params = engine(stub, tmp_path)
    first = drawn(params, PROMPTS[:1])
    file = kept_file(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert drawn(params, PROMPTS[:1])[0][:2] == first[0][:2]
    assert [b["n"] for b in stub.bodies] == [3, 1]
    drawn(params, PROMPTS[:1])
    assert len(stub.bodies) == 2, "the line written after the broken one is whole"


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
    stub: Stub, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be kept in .*engine\.work_dir"):
        drawn(engine(stub, tmp_path))
    assert stub.bodies == []


def test_an_endpoint_that_is_down_is_one_line_at_the_start(tmp_path: Path) -> None:
    with serving(Stub()) as gone:
        params = engine(gone, tmp_path)
    with pytest.raises(InputError, match=r"^evaluate\.x: http://127.*/models cannot be reached: "):
        check_endpoint(params, "evaluate.x", served=True)


def test_a_name_the_endpoint_does_not_serve_is_refused_at_the_start(
    stub: Stub, tmp_path: Path
) -> None:
    check_endpoint(engine(stub, tmp_path, served_reference="base"), "x", served=True)
    with pytest.raises(InputError, match="serves base, tuned, but no 'bass'"):
        check_endpoint(engine(stub, tmp_path, served_reference="bass"), "x", served=True)
    stub.models = Said([{"id": "base"}, "odd"])
    with pytest.raises(InputError, match="serves base, but no 'tuned'"):
        check_endpoint(engine(stub, tmp_path), "x", served=True)
    for odd in (Said({"data": None}), Said({"data": ["an id"]}), Said(7), Said(b"", 405)):
        stub.models = odd
        check_endpoint(engine(stub, tmp_path), "x", served=True)
    stub.models = Said(b"", 404)
    check_endpoint(engine(stub, tmp_path, served_reference="bass"), "x", served=True)


def test_a_key_the_environment_lacks_is_told_by_the_name_of_its_variable(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match=r"variable 'SOME_KEY', which is not set"):
        check_endpoint(engine(stub, tmp_path, key_variable="SOME_KEY"), "x", served=True)
