"""A chat model that compares answers by a rubric: both orders, what is cached, what is refused."""

import json
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from loopback import Said
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.judging import steered_by
from mopo_pipeline.judges import Comparer, win_rates_against
from mopo_pipeline.judges.base import ReadsInPart, differences, few, score
from mopo_pipeline.judges.chat import ChatJudge
from mopo_pipeline.judges.letters import (
    Asked,
    EndpointModel,
    LocalModel,
    asked,
    letter_ids,
    question,
)
from mopo_pipeline.judges.named import imported_judge, own_judge
from mopo_pipeline.judges.rules import TextRules
from mopo_pipeline.parameters.evaluate import JudgeParams
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.parameters.judges import ChatJudgeParams
from mopo_pipeline.parameters.lag import FreshLag, LagParams
from mopo_pipeline.tables import chat_prompt
from mopo_pipeline.training.fresh_judge import try_judge
from stub_endpoint import completion, in_turn, stub_endpoint
from tiny_tokenizers import chatml_tokenizer, inst_tokenizer, save_tiny

OBJECTIVES = ("brief", "polite")
RUBRICS = {"brief": "It is short.", "polite": "It says please."}
PROMPT = chat_prompt("Name a bird.")
BIRDS = ["A robin.", "A robin is a bird, and a bird it is.", "Please let it be a wren."]


def shown(text: str, letter: str) -> str:
    found = re.search(rf"\[Answer {letter}\]\n(.*?)\n\n\[", text, re.DOTALL)
    assert found
    return found[1]


class Biased:
    """Likes short answers by a nat a word, and the first place by three nats; counts what it is asked."""

    identity = "biased"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, questions: Sequence[str], description: str) -> list[tuple[int, Asked]]:
        self.asked += questions
        a, b = ([len(shown(q, x).split()) for q in questions] for x in "AB")
        gaps = [float(j - i) for i, j in zip(a, b, strict=True)]
        return list(enumerate(Asked(gap + 3.0, 0.9) for gap in gaps))


def params(tmp_path: Path, **told: Any) -> ChatJudgeParams:
    given = {"model": "none", "rubrics": RUBRICS, "cache": str(tmp_path / "judged.sqlite")}
    return ChatJudgeParams.model_validate(given | told)


def test_a_liking_for_the_first_place_is_gone_and_told(tmp_path: Path) -> None:
    judge = ChatJudge(params(tmp_path), OBJECTIVES, Biased())
    assert isinstance(judge, Comparer)
    pairs = ([PROMPT] * 2, [BIRDS[0], BIRDS[1]], [BIRDS[2], BIRDS[0]])
    gaps = judge.differences(*pairs)
    assert gaps.tolist() == [[4.0, 4.0], [-8.0, -8.0]]
    told = judge.order_bias(*pairs)
    likely = [1 / (1 + math.exp(-odds)) for odds in (7, -1, -5, 11)]
    assert told["brief"]["first_place"] == pytest.approx(np.mean(likely))
    assert told["brief"]["contradicted"] == 0.0
    assert told["brief"]["answered"] == pytest.approx(0.9)
    near = judge.order_bias([PROMPT], ["A robin."], ["A robin, Sir."])
    assert near["polite"]["contradicted"] == 1.0


def test_win_rates_are_those_of_the_probabilities_against_few_opponents(tmp_path: Path) -> None:
    model = Biased()
    judge = ChatJudge(params(tmp_path, opponents=1), ("brief",), model)
    (met,) = few(BIRDS[1:], 1)
    rates = win_rates_against(judge, [PROMPT], [BIRDS[0]], [BIRDS[1:]])
    gap = len(met.split()) - 2
    assert rates[0, 0] == pytest.approx(1 / (1 + math.exp(-gap)))
    assert len(model.asked) == 2


def test_nothing_is_asked_twice_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    class Interrupted(Biased):
        def ask(self, questions: Sequence[str], description: str) -> list[tuple[int, Asked]]:
            if self.asked:
                raise KeyboardInterrupt
            return super().ask(questions, description)

    many = [f"Bird number {i}." for i in range(200)]
    pairs = ([PROMPT] * 200, many, ["None."] * 200)
    with pytest.raises(KeyboardInterrupt):
        ChatJudge(params(tmp_path), ("brief",), Interrupted()).differences(*pairs)
    model = Biased()
    first = ChatJudge(params(tmp_path), ("brief",), model).differences(*pairs)
    assert 0 < len(model.asked) < 400
    again = Biased()
    assert (ChatJudge(params(tmp_path), ("brief",), again).differences(*pairs) == first).all()
    assert again.asked == []
    other = ChatJudge(params(tmp_path, rubrics={"brief": "It is very short."}), ("brief",), again)
    other.differences(*pairs)
    assert len(again.asked) == 400


def test_a_user_who_stops_it_does_not_wait_for_a_server_that_says_nothing() -> None:
    silent, ended = threading.Event(), threading.Event()

    def answer(body: dict[str, Any]) -> Said:
        if "silent" in body["messages"][-1]["content"]:
            silent.set()
            ended.wait(20)
        return completion("A", tops=[{"A": -0.2, "B": -2.0}])

    with stub_endpoint(answer) as stub:
        told = EndpointModel(stub.endpoint(timeout=20.0)).ask(["one", "silent", "two"], "judging")
        assert next(told)[0] == 0
        assert next(told)[0] == 2
        assert silent.wait(5)
        start = time.monotonic()
        told.close()  # type: ignore[attr-defined]
        assert time.monotonic() - start < 5
        ended.set()


def test_a_cache_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "judged.sqlite").write_text("no database, and long enough to be seen as none" * 9)
    judge = ChatJudge(params(tmp_path), OBJECTIVES, Biased())
    with pytest.raises(InputError, match=r"judged\.sqlite, cannot be used: file is not a database"):
        judge.differences([PROMPT], [BIRDS[0]], [BIRDS[1]])


def test_a_full_disk_asks_for_room_and_not_for_the_end_of_what_was_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_any = sqlite3.connect

    def of_two_pages(*given: Any, **options: Any) -> sqlite3.Connection:
        table = open_any(*given, **options)
        table.execute("PRAGMA max_page_count = 3")
        return table

    monkeypatch.setattr(sqlite3, "connect", of_two_pages)
    many = [f"Bird number {i}." for i in range(200)]
    with pytest.raises(InputError, match="is full; make room for it") as caught:
        ChatJudge(params(tmp_path), ("brief",), Biased()).differences(
            [PROMPT] * 200, many, ["None."] * 200
        )
    assert "delete" not in str(caught.value)


def test_what_is_no_number_is_refused_and_not_kept(tmp_path: Path) -> None:
    class Broken(Biased):
        def ask(self, questions: Sequence[str], description: str) -> list[tuple[int, Asked]]:
            return [(i, Asked(float("nan"), 1.0)) for i in range(len(questions))]

    asked = ([PROMPT], [BIRDS[0]], [BIRDS[1]])
    with pytest.raises(InputError, match="gave nan"):
        differences(ChatJudge(params(tmp_path), OBJECTIVES, Broken()), *asked)
    repaired = ChatJudge(params(tmp_path), OBJECTIVES, Biased())
    assert np.isfinite(differences(repaired, *asked)).all()


def test_an_objective_without_a_rubric_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rubric for objective 'kind'"):
        ChatJudge(params(tmp_path), ("brief", "kind"), Biased())


def test_letters_count_whatever_white_space_their_tokens_have() -> None:
    found = asked({" A": 0.5, "A": 0.25, "\u0120B": 0.125, "Ab": 0.1})
    assert found.log_odds == pytest.approx(math.log(0.75 / 0.125))
    assert found.mass == pytest.approx(0.875)
    assert asked({"Well": 1.0}) == (0.0, 0.0)
    assert asked({"A": 0.9}, least=0.01).log_odds == pytest.approx(math.log(90))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_batch_says_of_each_question_what_the_model_says_of_it_alone(
    family: str, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    tokenizer = chatml_tokenizer()
    save_tiny(tmp_path, tokenizer, max_position_embeddings=2048)
    if family == "gpt2":
        torch.manual_seed(0)
        size = {"n_positions": 2048, "n_embd": 16, "n_layer": 2, "n_head": 2}
        GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), initializer_range=0.3, **size)
        ).save_pretrained(tmp_path)
    texts = [
        question("Short.", PROMPT, a, b, 500)
        for a, b in [BIRDS[:2], ("x" * 300, "y"), (BIRDS[1], BIRDS[2])]
    ]
    said = [one for _, one in sorted(LocalModel(str(tmp_path), "float32").ask(texts, "asked"))]
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    for text, found in zip(texts, said, strict=True):
        messages = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        with torch.inference_mode():
            likely = model(input_ids=ids).logits[0, -1].double().softmax(-1)
        a, b = (float(likely[letter_ids(tokenizer, x)].sum()) for x in "AB")
        assert found.log_odds == pytest.approx(math.log(a / b), abs=1e-4)
        assert found.mass == pytest.approx(a + b, rel=1e-4)


def test_a_tokenizer_without_the_letters_and_a_context_too_short_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no token 'B'"):
        letter_ids(inst_tokenizer(), "B")
    save_tiny(tmp_path, chatml_tokenizer())
    with pytest.raises(InputError, match=r"reads 128 tokens and a question takes \d+: lower max_"):
        model = LocalModel(str(tmp_path), "float32")
        list(model.ask([question("Short.", PROMPT, *BIRDS[:2], most=500)], "asked"))


def test_of_a_long_conversation_the_last_question_is_shown() -> None:
    asked_last = chat_prompt("long " * 100 + "Name a bird.")
    text = question("Short.", asked_last, "a", "b", most=20)
    assert "[...] ng long Name a bird." in text


def test_answers_that_are_shown_in_part_are_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = ChatJudge(params(tmp_path, max_characters=30), OBJECTIVES, Biased())
    judge.differences([PROMPT], [BIRDS[0]], [BIRDS[2]])
    assert "cut short" not in caplog.text
    judge.differences([PROMPT] * 2, [BIRDS[0]] * 2, [BIRDS[1], BIRDS[2]])
    (said,) = [r for r in caplog.records if "cut short" in r.getMessage()]
    assert said.levelname == "WARNING"
    assert "answers shown to the chat judge cut short: 0.333" in said.getMessage()
    assert "raise max_characters" in said.getMessage()
    assert judge.read_in_part([PROMPT] * 2, BIRDS[:2]).tolist() == [False, True]


def test_long_texts_are_shown_in_part() -> None:
    text = question("Short.", PROMPT, "long " * 100, "b", most=20)
    assert shown(text, "A") == "long long long long  [...]"


def likes_short(request: dict[str, Any]) -> Said:
    text = request["messages"][0]["content"]
    a, b = (len(shown(text, x)) for x in "AB")
    p = 0.8 if a < b else 0.3
    return completion("A", tops=[{"A": math.log(p), " B": math.log(1 - p)}])


def test_an_endpoint_judges_by_the_log_probabilities_it_tells(tmp_path: Path) -> None:
    with stub_endpoint(likes_short) as server:
        told = params(tmp_path, model=None, endpoint=server.endpoint())
        judge = ChatJudge(told, OBJECTIVES)
        gaps = judge.differences([PROMPT], [BIRDS[0]], [BIRDS[1]])
        assert len(server.asked) == 4
        again = ChatJudge(told, OBJECTIVES).differences([PROMPT], [BIRDS[0]], [BIRDS[1]])
        assert len(server.asked) == 4
    assert gaps == pytest.approx(np.full((1, 2), (math.log(4) - math.log(3 / 7)) / 2))
    assert (again == gaps).all()
    assert server.asked[0]["max_tokens"] == 1
    assert server.asked[0]["temperature"] == 0.0


def test_an_endpoint_without_log_probabilities_is_refused_at_the_first_question(
    tmp_path: Path,
) -> None:
    with stub_endpoint(in_turn(completion("A"))) as server:
        judge = ChatJudge(params(tmp_path, model=None, endpoint=server.endpoint()), OBJECTIVES)
        with pytest.raises(InputError, match="tells no log-probabilities"):
            judge.differences([PROMPT] * 3, BIRDS, BIRDS[::-1])
    assert len(server.asked) == 1


def refusing(most: int) -> Callable[[dict[str, Any]], Said]:
    """A server of models that think: it takes ``max_completion_tokens``, and tells of so many likely tokens at most."""

    def answer(request: dict[str, Any]) -> Said:
        if "max_tokens" in request:
            told = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Said({"error": {"message": told}}, 400)
        if request["top_logprobs"] > most:
            told = f"Requested sample logprobs of {request['top_logprobs']}, max allowed: {most}"
            return Said({"error": {"message": told}}, 400)
        return likes_short(request)

    return answer


def test_an_endpoint_that_tells_of_few_tokens_judges_by_those_and_is_refused_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_endpoint(refusing(most=5)) as server:
        told = params(tmp_path, model=None, endpoint=server.endpoint())
        gaps = ChatJudge(told, OBJECTIVES).differences([PROMPT], [BIRDS[0]], [BIRDS[1]])
    assert gaps == pytest.approx(np.full((1, 2), (math.log(4) - math.log(3 / 7)) / 2))
    taken = [(a.get("max_completion_tokens"), a["top_logprobs"]) for a in server.asked]
    assert taken == [(None, 20), (1, 20), *[(1, 5)] * 4]
    assert "no more likely tokens than 5" in caplog.text


def test_an_endpoint_that_refuses_log_probabilities_is_one_line_that_says_what_a_judge_needs(
    tmp_path: Path,
) -> None:
    with stub_endpoint(refusing(most=0)) as server:
        judge = ChatJudge(params(tmp_path, model=None, endpoint=server.endpoint()), OBJECTIVES)
        with pytest.raises(
            InputError,
            match=r"answered 400: Requested sample logprobs of 5.*; a judge rests on log-prob.*about 'user",
        ):
            judge.differences([PROMPT] * 3, BIRDS, BIRDS[::-1])
    assert len(server.asked) == 3


def test_a_fault_ends_what_other_questions_wait_for(tmp_path: Path) -> None:
    busy = threading.Event()

    def answer(request: dict[str, Any]) -> Said:
        text = request["messages"][0]["content"]
        if "wren" in text:
            busy.set()
            return Said({}, 429, {"Retry-After": "30"})
        if "rook" in text:
            busy.wait(5)
            return Said({"error": "paid up"}, 402)
        return likes_short(request)

    start = time.monotonic()
    with stub_endpoint(answer) as server:
        told = params(tmp_path, model=None, endpoint=server.endpoint())
        with pytest.raises(InputError, match="paid up"):
            texts = ["A robin, a robin, a robin.", "A rook.", BIRDS[2]]
            ChatJudge(told, ("brief",)).differences([PROMPT] * 3, texts, ["None."] * 3)
    assert time.monotonic() - start < 5


@pytest.mark.slow
def test_what_an_endpoint_said_before_its_fault_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    many = [f"Bird number {i}." for i in range(20)]
    asked = ([PROMPT] * 20, many, ["None."] * 20)

    def gone_at_the_tenth(request: dict[str, Any]) -> Said:
        return likes_short(request) if len(server.asked) <= 10 else Said({"error": "paid up"}, 402)

    with stub_endpoint(gone_at_the_tenth) as server:
        endpoint = server.endpoint(at_once=1)
        judge = ChatJudge(params(tmp_path, model=None, endpoint=endpoint), ("brief",))
        with pytest.raises(
            InputError,
            match=r"answered 402: paid up.*asked about 'user: Name a bird\.'; 10 of 40 answers are kept in .*run again",
        ):
            judge.differences(*asked)
    with stub_endpoint(likes_short) as server:
        again = ChatJudge(params(tmp_path, model=None, endpoint=endpoint), ("brief",))
        again._model._endpoint = server.endpoint()  # type: ignore[attr-defined]
        again.differences(*asked)
        assert len(server.asked) == 30


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            completion("A", tops=[{"A": -0.1}], end="content_filter"),
            "a filter of the endpoint .* withholds .*'user: Name a bird.': leave that prompt out",
        ),
        (completion("A", tops=[{"A": 0.0}]), "tells no log-probabilities"),
        (
            completion("A", tops=[{"A": 0.8, "B": 0.2}]),
            r"whose probabilities sum to 3\.45: they are none",
        ),
    ],
)
def test_a_word_that_is_none_is_refused_by_what_it_lacks(
    said: Said, told: str, tmp_path: Path
) -> None:
    if "no log" in told:
        said.body["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = None
    with stub_endpoint(in_turn(said)) as server:
        judge = ChatJudge(params(tmp_path, model=None, endpoint=server.endpoint()), OBJECTIVES)
        with pytest.raises(InputError, match=told):
            judge.differences([PROMPT], [BIRDS[0]], [BIRDS[1]])
    assert len(server.asked) == 1


def test_a_letter_that_is_not_told_of_is_no_likelier_than_what_is_left(tmp_path: Path) -> None:
    tops = [{"A": math.log(0.7), "Well": math.log(0.2)}]
    with stub_endpoint(in_turn(completion("A", tops=tops))) as server:
        said = EndpointModel(server.endpoint())._ask("Which?")
    assert said.log_odds == pytest.approx(math.log(0.7 / 0.1))


def test_pairs_of_which_a_model_says_no_letter_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def silent_of_one(request: dict[str, Any]) -> Said:
        text = request["messages"][0]["content"]
        return completion("?", tops=[{"?": -0.1}]) if "wren" in text else likes_short(request)

    with stub_endpoint(silent_of_one) as server:
        judge = ChatJudge(params(tmp_path, model=None, endpoint=server.endpoint()), ("brief",))
        judge.differences([PROMPT] * 3, [BIRDS[0]] * 3, [BIRDS[1], "A rook, a rook.", BIRDS[2]])
    assert "A or B with a probability below 0.5 of 1 of 3 pairs" in caplog.text


def test_an_endpoint_that_says_no_letter_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_endpoint(in_turn(completion("Well", tops=[{"Well": -0.1}]))) as server:
        judge = ChatJudge(params(tmp_path, model=None, endpoint=server.endpoint()), OBJECTIVES)
        assert (judge.differences([PROMPT], [BIRDS[0]], [BIRDS[1]]) == 0.0).all()
    assert "says A or B with probability 0.00" in caplog.text


def test_a_chat_judge_of_fresh_responses_is_tried_before_any_training(tmp_path: Path) -> None:
    rows = pd.DataFrame({"prompt": PROMPT, "response": BIRDS})
    with stub_endpoint(likes_short) as server:
        told = params(tmp_path, model=None, endpoint=server.endpoint())
        lag = FreshLag(judge="chat", chat=told)
        assert try_judge(lag, OBJECTIVES, None, rows).name == "chat"
        assert len(server.asked) == len(BIRDS) * len(OBJECTIVES)
    again = TypeAdapter(LagParams).validate_python(lag.model_dump(mode="json"))
    assert again == lag
    with stub_endpoint(in_turn(Said({"error": "gone"}, 404))) as server:
        told = params(tmp_path / "other", model=None, endpoint=server.endpoint())
        with pytest.raises(InputError, match="answered 404: gone"):
            try_judge(FreshLag(judge="chat", chat=told), OBJECTIVES, None, rows)


def test_a_policy_trained_on_a_chat_model_s_word_is_not_judged_independently_by_it(
    tmp_path: Path,
) -> None:
    chat = params(tmp_path)
    judge = ChatJudge(chat, OBJECTIVES, Biased())
    lag = FreshLag(judge="chat", chat=chat)
    assert steered_by(judge, JudgeParams(chat=chat), lag)
    other = chat.model_copy(update={"model": "other"})
    assert not steered_by(judge, JudgeParams(chat=other), lag)
    assert not steered_by(judge, JudgeParams(chat=chat), FreshLag())


class Length:
    """A judge of one's own."""

    name = "length"
    link = "logistic"

    def __init__(self, objectives: tuple[str, ...]) -> None:
        self.objectives = objectives

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.array([[float(len(r))] * len(self.objectives) for r in responses])


class Nearsighted(Length):
    """Says what it reads in part."""

    def read_in_part(self, prompts: list[str], responses: list[str]) -> list[bool]:
        return [len(text) > 4 for text in responses]


class Either(Nearsighted):
    """Compares two, and scores none."""

    scores = None  # type: ignore[assignment]
    opponents = 2

    def differences(self, prompts: list[str], first: list[str], second: list[str]) -> np.ndarray:
        return super().scores(prompts, first) - super().scores(prompts, second)


@pytest.mark.parametrize("name", ["Nearsighted", "Either"])
def test_what_a_judge_of_one_s_own_reads_in_part_is_asked_of_it(name: str) -> None:
    judge = own_judge(f"{__name__}:{name}", OBJECTIVES)
    assert isinstance(judge, ReadsInPart)
    assert judge.read_in_part([PROMPT] * 2, ["four", "seven"]) == [False, True]
    assert not isinstance(own_judge(f"{__name__}:Length", OBJECTIVES), ReadsInPart)


def test_a_judge_of_one_s_own_is_named_by_where_it_is_imported_from() -> None:
    judge = own_judge(f"{__name__}:Length", OBJECTIVES)
    assert (judge.name, judge.objectives, judge.link) == ("own", OBJECTIVES, "logistic")
    rates = win_rates_against(judge, [PROMPT], ["four"], [["four", "four"]])
    assert rates.tolist() == [[0.5, 0.5]]


class Silent(Either):
    """Compares with nobody."""

    opponents = 0


class Faulty(Length):
    """Fails at one text; of another kind of answer where there are two of them."""

    def scores(self, prompts: list[str], responses: list[str]) -> Any:
        if len(responses) > 1:
            return [[1.0], [1.0, 2.0]]
        return json.loads(responses[0])


def test_a_fault_of_a_judge_of_one_s_own_is_one_line_that_says_where() -> None:
    judge = own_judge(f"{__name__}:Faulty", OBJECTIVES)
    with pytest.raises(
        InputError, match=rf"judge 'own' failed on 1 answers at {__file__}, line \d+: JSONDec"
    ) as caught:
        score(judge, [PROMPT], ["{"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="judge 'own' returned a list that is no array of numbers"):
        score(judge, [PROMPT] * 2, ["a", "b"])
    with pytest.raises(InputError, match="returned a dict that is no array"):
        score(judge, [PROMPT], ["{}"])


def test_a_fault_of_a_built_in_judge_or_of_memory_is_not_made_the_user_s() -> None:
    with pytest.raises(AttributeError):
        score(TextRules(("brevity",)), [PROMPT], [7])  # type: ignore[list-item]

    class Large(Length):
        def scores(self, prompts: list[str], responses: list[str]) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        score(Large(OBJECTIVES), [PROMPT], ["a"])


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{__name__}:Silent", "has opponents 0: it says how many"),
        ("no_such_module:Judge", "no judge can be imported as 'no_such_module:Judge': No module"),
        ("math:Judge", "no judge can be imported as 'math:Judge': .*no attribute 'Judge'"),
        ("builtins:list", "makes list, which is no judge"),
        ("builtins:property", "makes property, which is no judge"),
        ("math:sqrt", "is to be made with the objectives' names"),
    ],
)
def test_what_is_no_judge_of_one_s_own_is_one_line(path: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        imported_judge(path, OBJECTIVES)


def base_parameters() -> dict[str, Any]:
    import yaml

    from conftest import PROJECT
    from mopo_pipeline.parameters.groups import GROUPS

    found: dict[str, Any] = {}
    for group in GROUPS:
        text = (PROJECT / f"conf/base/parameters_{group}.yml").read_text()
        found |= yaml.safe_load(re.sub(r"\$\{[^\n]*\}", "x", text))
    return found


@pytest.mark.parametrize(
    ("group", "told", "said"),
    [
        ("evaluate", {"judges": {"own": "polite"}}, "named by module and name"),
        ("evaluate", {"judges": {"chat": {"rubrics": {}}}}, "a model or an endpoint, and neither"),
        (
            "evaluate",
            {"judges": {"chat": {"model": "m", "rubrics": {"helpfulness": "good"}}}},
            "evaluate.judges.chat.rubrics names no rubric for objective 'harmlessness'",
        ),
        ("train", {"lag": {"mode": "fresh", "judge": "chat"}}, "judge chat needs chat"),
        ("train", {"lag": {"mode": "fresh", "judge": "jury"}}, "a judge is one of"),
    ],
)
def test_a_judge_that_cannot_be_meant_is_refused_with_the_parameters(
    group: str, told: dict[str, Any], said: str
) -> None:
    raw = base_parameters()
    raw[group] = raw[group] | told
    with pytest.raises(InputError, match=re.escape(said)):
        validate_parameters(raw)
