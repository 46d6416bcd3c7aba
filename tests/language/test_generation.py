"""Answers are those of the model's own ``generate``, drawn faster: prompts computed once, ended answers left out."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from conftest import PROJECT
from mopo_pipeline.errors import InputError
from mopo_pipeline.language import cache
from mopo_pipeline.language.decoding import chosen_by_first, decoded, drawn_by, likeliest
from mopo_pipeline.language.generation import continued, sample_responses
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer

WORDS = 60
PROMPTS = [[5, 7, 9, 11, 3], [8, 2], [4, 4, 6, 1]]
SIZES: dict[str, Any] = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.6}
MODELS = {
    "rotary": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=1)),
    "partly rotary": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)),
    "absolute": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=2, n_head=2, initializer_range=0.6)
    ),
    "sliding": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=4)
    ),
}
ASKED = [chat_prompt("how do you do"), chat_prompt("why"), chat_prompt("very well because thanks")]


def made(name: str) -> Any:
    torch.manual_seed(0)
    return MODELS[name]().eval()


@pytest.fixture(scope="module")
def chat_model() -> tuple[Any, Any]:
    tokenizer = chatml_tokenizer()
    torch.manual_seed(0)
    sizes = SIZES | {"vocab_size": len(tokenizer), "initializer_range": 0.3}
    model = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True))
    model.generation_config.eos_token_id = list(range(300, 400))
    return model.eval(), tokenizer


@pytest.mark.parametrize("name", MODELS)
def test_the_likeliest_tokens_are_those_of_the_models_own_generate(name: str) -> None:
    model, ends = made(name), [1, 2, 3]
    limits = {"max_new_tokens": 12, "do_sample": False}
    found = continued(model, PROMPTS, 0, ends, decoded(3, likeliest), **limits)
    for number, prompt in enumerate(PROMPTS):
        alone = model.generate(
            input_ids=torch.tensor([prompt]), pad_token_id=0, eos_token_id=ends, **limits
        )
        assert found[3 * number : 3 * number + 3] == [alone[0, len(prompt) :].tolist()] * 3


@pytest.mark.parametrize("name", MODELS)
def test_what_is_drawn_does_not_depend_on_what_is_drawn_beside_it(name: str) -> None:
    """Answers end one by one; those left go on as if they had been alone."""
    model, ends = made(name), list(range(20))
    uniform = np.random.default_rng(0).random((12, 10))
    limits = {"max_new_tokens": 10, "do_sample": True}
    together = continued(model, PROMPTS, 0, ends, decoded(4, drawn_by(uniform)), **limits)
    assert len(set(map(len, together))) > 3
    for line, drawn in enumerate(together):
        loop = decoded(1, drawn_by(uniform[line : line + 1]))
        assert continued(model, [PROMPTS[line // 4]], 0, ends, loop, **limits) == [drawn]


@pytest.mark.slow
def test_tokens_are_drawn_as_often_as_the_model_says() -> None:
    """Two tokens after two prompts of different lengths, against probabilities of the whole texts."""
    model, times, asked = made("absolute"), 20_000, PROMPTS[:2]
    uniform = np.random.default_rng(1).random((2 * times, 2))
    limits = {"max_new_tokens": 2, "do_sample": True, "temperature": 0.5}
    drawn = continued(model, asked, 0, [59], decoded(times, drawn_by(uniform)), **limits)
    for number, prompt in enumerate(asked):
        pairs = [tuple(ids) for ids in drawn[number * times : (number + 1) * times] if len(ids) > 1]
        first, second = max(set(pairs), key=pairs.count)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, first]])).logits[0, -2:] / 0.5
        chance = logits.softmax(-1)[[0, 1], [first, second]].prod().item()
        error = (chance * (1 - chance) / times) ** 0.5
        assert abs(pairs.count((first, second)) / times - chance) < 4 * error
        assert chance > 20 * error, "the test can tell"


def test_a_token_of_no_probability_is_never_drawn() -> None:
    scores = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(4, 5)
    numbers = np.array([0.0, 0.5 - 1e-12, 0.5, 1 - 2**-53])[:, None]
    assert drawn_by(numbers)(scores, np.arange(4), 0).tolist() == [1, 1, 3, 3]


def test_a_model_that_has_gone_astray_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match="probabilities of the next token are not numbers"):
        drawn_by(np.zeros((1, 1)))(torch.tensor([[0.0, torch.nan]]), np.arange(1), 0)


def answers(chat_model: tuple[Any, Any], prompts: list[str] = ASKED, **given: Any) -> Any:
    settings = {"n": 5, "max_new_tokens": 16, "seed": 3, "batch_size": 64} | given
    return sample_responses(*chat_model, prompts, **settings)


def each(drawn: Any) -> list[Any]:
    return [answer for of_prompt in drawn for answer in of_prompt]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 11])
def test_answers_do_not_depend_on_the_size_of_batches(
    chat_model: tuple[Any, Any], batch_size: int
) -> None:
    assert answers(chat_model, batch_size=batch_size) == answers(chat_model)


def test_the_first_answers_stay_when_more_are_asked_for(chat_model: tuple[Any, Any]) -> None:
    more = answers(chat_model, [*ASKED, chat_prompt("hello")], n=8)
    assert [found[:5] for found in more[:3]] == answers(chat_model)


def test_a_longer_limit_changes_those_answers_alone_that_were_cut(
    chat_model: tuple[Any, Any],
) -> None:
    short, long = each(answers(chat_model)), each(answers(chat_model, max_new_tokens=40))
    cut = [i for i, answer in enumerate(short) if not answer.ended]
    assert 0 < len(cut) < len(short)
    assert all(long[i] == short[i] for i in range(len(short)) if i not in cut)
    assert all(long[i] != short[i] for i in cut)


def test_another_seed_draws_other_answers(chat_model: tuple[Any, Any]) -> None:
    assert answers(chat_model, seed=4) != answers(chat_model)


def test_a_prompt_is_computed_once_for_all_its_answers_and_an_ended_answer_no_more(
    chat_model: tuple[Any, Any],
) -> None:
    model, seen = chat_model[0], []
    hook = model.register_forward_pre_hook(
        lambda _, __, given: seen.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    try:
        answers(chat_model, ASKED[:1], n=16)
    finally:
        hook.remove()
    assert seen[0][0] == 1 and seen[0][1] > 5
    assert seen[1] == (16, 1)
    lines = [shape[0] for shape in seen[1:]]
    assert lines == sorted(lines, reverse=True) and lines[-1] < 16


def test_processes_that_share_a_model_go_through_the_tokens_of_the_first() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 1.0]])
    found = chosen_by_first(likeliest)(scores, np.arange(2), 0)
    assert found.tolist() == [1, 0] and found.dtype == torch.long


def test_keys_and_values_are_not_copied_for_every_token(
    monkeypatch: pytest.MonkeyPatch, chat_model: tuple[Any, Any]
) -> None:
    """Room is made once for several tokens; with room for none the answers are the same."""
    whole = answers(chat_model)
    monkeypatch.setattr(cache, "ROOM", 0)
    assert answers(chat_model) == whole
    monkeypatch.setattr(cache, "ROOM", 8)
    known = DynamicCache(config=chat_model[0].config)
    with torch.no_grad():
        chat_model[0](torch.tensor([[5, 6, 7]]), past_key_values=known, use_cache=True)
        cache.with_room(known)
        places = []
        for _ in range(9):
            chat_model[0](torch.tensor([[5]]), past_key_values=known, use_cache=True)
            places.append(known.layers[0].keys.data_ptr())
    assert known.get_seq_length() == 12
    assert len(set(places)) == 1


@pytest.mark.slow
def test_two_processes_that_hold_a_part_of_a_model_each_draw_what_one_draws() -> None:
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT / "tests")])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*launcher, "--nproc-per-node", "2", str(PROJECT / "tests/sharded_drawing.py")],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=240,
    )
