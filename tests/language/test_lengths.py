"""One context for a run, and answers that were cut count as cut."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.sampling import logprobs_of_test_split, sample_completions
from mopo_pipeline.language.generation import sample_responses
from mopo_pipeline.language.lengths import Lengths, cut_finding, encode_all, measure
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams, SamplingParams
from mopo_pipeline.parameters.groups import validate_parameters
from mopo_pipeline.policies.extract import CUT_WHEN_DRAWN, cut_rows
from mopo_pipeline.policies.reference_logprobs import CUT_BY_CONTEXT, measured, reference_logprobs
from mopo_pipeline.tables import chat_prompt
from tiny_tokenizers import chatml_tokenizer, save_tiny

DRAW = {"seed": 0, "batch_size": 64}
TASK = TaskParams.model_validate({"objectives": [{"name": "a"}]})
ANSWERS = ["very well", "because why", "thanks a lot " * 12, "hello"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), chatml_tokenizer())


def responses(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt_id": ["p0", "p0", "p1", "p1"],
            "response_id": [f"r{i}" for i in range(4)],
            "prompt": [chat_prompt("how do you do")] * 2 + [chat_prompt("why")] * 2,
            "response": ANSWERS,
            "split": "test",
            "source": "files",
        }
        | columns
    )


@pytest.mark.parametrize("context", [None, 24])
def test_the_same_model_twice_has_a_ratio_of_one_whatever_the_context(
    model: Path, tmp_path: Path, context: int | None
) -> None:
    reference = reference_logprobs(responses(), model, context, tmp_path)
    found = logprobs_of_test_split(model, responses(), reference, EvaluateParams())
    np.testing.assert_allclose(found["logprob_policy"], found["logprob_reference"], atol=1e-4)
    assert found["truncated"].tolist() == [False, False, context is not None, False]


def test_another_context_would_change_the_ratio(model: Path, tmp_path: Path) -> None:
    """Negative control."""
    whole = reference_logprobs(responses(), model, None, tmp_path)
    cut = reference_logprobs(responses(), model, 24, tmp_path)
    assert abs(whole["logprob"] - cut["logprob"]).max() > 10


def test_an_answer_that_was_not_ended_is_scored_without_an_end(model: Path, tmp_path: Path) -> None:
    ended = responses(ended=[True, False, True, True])
    whole = reference_logprobs(responses(), model, None, tmp_path)
    found = reference_logprobs(ended, model, None, tmp_path)
    assert (whole["n_tokens"] - found["n_tokens"]).tolist() == [0, 1, 0, 0]
    assert (found["logprob"] > whole["logprob"] + 1).tolist() == [False, True, False, False]
    policy = logprobs_of_test_split(model, ended, found, EvaluateParams())
    np.testing.assert_allclose(policy["logprob_policy"], found["logprob"], atol=1e-4)


def test_the_context_is_what_the_data_needs_and_the_model_has(model: Path) -> None:
    rows = encode_all(load_model(model)[1], responses())
    longest, answer = int(rows.prompt_lengths.max()), int(rows.response_lengths.max())
    assert measure(rows, 128, None) == Lengths(longest, answer, longest + answer)
    assert measure(rows, 40, None).context == 40
    assert measure(rows, 128, 77).context == 77


@pytest.mark.parametrize("family", ["gpt2", "mistral"])
def test_a_models_positions_count_whatever_its_configuration_calls_them_or_leaves_unsaid(
    tmp_path: Path, family: str
) -> None:
    """GPT-2 names them ``n_positions``; a configuration says only what differs from its family's defaults."""
    from transformers import AutoModelForCausalLM, GPT2Config, MistralConfig

    tokenizer = chatml_tokenizer()
    size = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_attention_heads": 2}
    of_gpt2 = GPT2Config(**size, num_hidden_layers=1, n_positions=40)
    of_mistral = MistralConfig(
        **size, num_hidden_layers=1, num_key_value_heads=2, intermediate_size=16
    )
    config = of_gpt2 if family == "gpt2" else of_mistral
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    said.pop("max_position_embeddings", None)
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    _, lengths, limit = measured(tmp_path, responses(), None)
    assert limit == config.max_position_embeddings
    assert lengths.context <= limit
    found = reference_logprobs(responses(), tmp_path, None, tmp_path / "work")
    assert found["truncated"].tolist() == [False, False, family == "gpt2", False]


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("reference.fit.max_length", "reference.context"),
        ("train.fit.max_length", "reference.context"),
        ("evaluate.max_length", "reference.context"),
        ("train.lag.held_out_prompts", "train.lag.validation_prompts"),
        ("train.lag.on_policy", "train.lag.mode"),
    ],
)
def test_a_parameter_of_old_is_an_error_that_names_what_took_its_place(name: str, now: str) -> None:
    raw: dict[str, Any] = {}
    *groups, key = name.split(".")
    inner = raw
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[key] = 96
    with pytest.raises(InputError, match=f"{name} is now {now}"):
        validate_parameters(raw)


def test_a_sample_says_whether_the_model_ended_it(model: Path) -> None:
    import torch

    loaded, tokenizer = load_model(model)
    ask = [chat_prompt("how do you do"), chat_prompt("why")]
    with torch.no_grad():
        loaded.lm_head.weight[tokenizer.vocab["<|im_end|>"]] *= 30
    answers = [
        a
        for pair in sample_responses(loaded, tokenizer, ask, n=40, max_new_tokens=6, **DRAW)
        for a in pair
    ]
    ended = np.array([answer.ended for answer in answers])
    assert 0 < ended.mean() < 1, "the turn's end stops an answer though the end token is another"
    assert not any("<|im_end|>" in answer.text for answer in answers)


def test_the_models_own_end_tokens_stop_an_answer(model: Path) -> None:
    loaded, tokenizer = load_model(model)
    ask = [chat_prompt("why")]
    plain = sample_responses(loaded, tokenizer, ask, n=20, max_new_tokens=40, **DRAW)[0]
    loaded.generation_config.eos_token_id = list(range(100, 400))
    stopped = sample_responses(loaded, tokenizer, ask, n=20, max_new_tokens=40, **DRAW)[0]
    assert all(answer.ended for answer in stopped)
    assert not all(answer.ended for answer in plain), "negative control"


@pytest.mark.parametrize("adapted", [False, True], ids=["plain", "adapter"])
def test_the_models_own_generation_settings_do_not_change_what_is_sampled(
    model: Path, adapted: bool
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import GenerationConfig

    loaded, tokenizer = load_model(model)
    ends = {"eos_token_id": tokenizer.eos_token_id}
    asked: Any = get_peft_model(loaded, LoraConfig(task_type="CAUSAL_LM")) if adapted else loaded
    plain, penalised = (
        _sampled(loaded, GenerationConfig(**ends, **given), asked, tokenizer)
        for given in ({}, {"repetition_penalty": 5.0, "min_p": 0.5})
    )
    assert plain == penalised
    assert loaded.generation_config.repetition_penalty == 5.0, "only while it samples"


def _sampled(loaded: Any, settings: Any, asked: Any, tokenizer: Any) -> Any:
    loaded.generation_config = settings
    return sample_responses(asked, tokenizer, [chat_prompt("why")], n=8, max_new_tokens=12, **DRAW)


def test_answers_stop_where_the_models_positions_do(model: Path) -> None:
    loaded, tokenizer = load_model(model)
    loaded.config.max_position_embeddings = 40
    answers = sample_responses(
        loaded, tokenizer, [chat_prompt("why")], n=8, max_new_tokens=500, **DRAW
    )[0]
    cut = [answer.text for answer in answers if not answer.ended]
    assert cut
    loaded.config.max_position_embeddings = 8
    with pytest.raises(InputError, match="leaves no room for an answer: the model's context is 8"):
        sample_responses(loaded, tokenizer, [chat_prompt("why")], n=1, max_new_tokens=4, **DRAW)


def test_completions_say_which_were_cut_and_score_them_so(model: Path) -> None:
    params = EvaluateParams(sampling=SamplingParams(samples=60, max_new_tokens=5))
    table = sample_completions(model, model, responses(), TASK, params)
    _, tokenizer = load_model(model)
    texts = table["prompt"].tolist(), table["completion"].tolist()
    closed = encode(tokenizer, *texts, None).response_lengths
    assert 0 < table["ended"].mean() < 1
    empty = (table["completion"] == "").to_numpy()
    assert (closed - table["n_tokens"] == ~table["ended"] & ~empty).all()
    np.testing.assert_allclose(table["logprob_policy"], table["logprob_reference"], atol=1e-4)


def test_answers_are_as_long_as_the_datas_where_nothing_is_said(model: Path) -> None:
    longest = int(encode_all(load_model(model)[1], responses()).response_lengths.max())
    params = EvaluateParams(sampling=SamplingParams(samples=12))
    tokens = sample_completions(model, model, responses(), TASK, params)["n_tokens"]
    assert 0.5 * longest < tokens.max() <= 2 * longest


def test_more_than_a_twentieth_of_answers_cut_is_an_error() -> None:
    none, few, many = (np.arange(100) < count for count in (0, 5, 6))
    assert cut_finding(none, "answers", "") == []
    assert [f.severity for f in cut_finding(few, "answers", "")] == ["info"]
    (found,) = cut_finding(many, "answers", "")
    assert (found.severity, found.value, found.name) == ("error", 0.06, "answers cut short")


def test_the_remedy_is_that_of_what_cut_more() -> None:
    some, none = np.array([True, True, False]), np.zeros(3, bool)
    assert cut_rows(some, ~none)[0].remedy == CUT_BY_CONTEXT
    assert cut_rows(none, ~some)[0].remedy == CUT_WHEN_DRAWN
    assert cut_rows(none, ~none) == []
