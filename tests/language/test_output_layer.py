"""Where the logits of all tokens would be too many they are computed in parts, to the same loss and gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from mopo_pipeline.language import output_layer
from mopo_pipeline.language.forward import response_logprobs
from mopo_pipeline.language.packing import pack
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.training.loss import weighted_nll

SIZES: dict[str, Any] = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
SIZES |= {"initializer_range": 0.3}
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 0.1])


def rows() -> EncodedRows:
    rng = np.random.default_rng(0)
    ids = [rng.integers(5, 300, size=n).tolist() for n in (9, 12, 7, 20)]
    lengths = np.array([3, 3, 4, 4])
    return EncodedRows(ids, lengths, np.zeros(4, bool), 0, np.arange(4))


def loss_and_gradients(model: Any) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    logprob = response_logprobs(model, pack(rows(), [np.array([i]) for i in range(4)]))
    loss = weighted_nll(logprob, WEIGHT, 8.0).sum()
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters()}


def made(tied: bool = True) -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied))


def in_parts(monkeypatch: pytest.MonkeyPatch, tokens: int = 7) -> None:
    monkeypatch.setattr(output_layer, "MOST", 1)
    monkeypatch.setattr(output_layer, "PART", 300 * tokens)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "apart"])
@pytest.mark.parametrize("tokens", [1, 7, 33])
def test_loss_and_gradients_in_parts_are_those_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch, tied: bool, tokens: int
) -> None:
    loss, gradients = loss_and_gradients(made(tied))
    in_parts(monkeypatch, tokens)
    found, others = loss_and_gradients(made(tied))
    assert abs(found - loss) < 1e-5
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-5, rtol=1e-5)


def test_an_adapters_gradients_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import LoraConfig, get_peft_model

    def adapted() -> Any:
        torch.manual_seed(0)
        config = LoraConfig(target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        return get_peft_model(made(tied=False), config)

    def trained(model: Any) -> list[torch.Tensor]:
        logprob = response_logprobs(model, pack(rows(), [np.array([i]) for i in range(4)]))
        weighted_nll(logprob, WEIGHT, 8.0).sum().backward()
        return [p.grad for p in model.parameters() if p.requires_grad]

    at_once = trained(adapted())
    in_parts(monkeypatch)
    for found, known in zip(trained(adapted()), at_once, strict=True):
        torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-5)


def tokens_seen() -> list[int]:
    """Tokens the output layer of a fresh model saw at once, call by call of a training step."""
    model, seen = made(), []
    model.lm_head.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[0]))
    loss_and_gradients(model)
    return seen


def test_the_output_layer_never_sees_more_than_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts(monkeypatch, 7)
    assert max(tokens_seen()) <= 7


def test_few_logits_are_computed_at_once() -> None:
    assert tokens_seen() == [int(rows().response_lengths.sum())]


@pytest.mark.parametrize("family", ["scaled", "capped"])
def test_logits_that_a_model_changes_afterwards_are_left_to_it(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    def other() -> Any:
        torch.manual_seed(0)
        if family == "scaled":
            return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.5))
        return Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0))

    loss, gradients = loss_and_gradients(other())
    in_parts(monkeypatch)
    found, others = loss_and_gradients(other())
    assert found == pytest.approx(loss, abs=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-6, rtol=1e-5)
