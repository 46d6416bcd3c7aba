"""Layers that adapters are put on are those of the model."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.parameters.fit import LoraParams


def tiny() -> torch.nn.Module:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )


@pytest.mark.parametrize(
    "targets", [("q_proj", "v_proj"), ("layers.0.self_attn.q_proj",), "all-linear"]
)
def test_layers_are_found_by_the_end_of_their_names(targets: tuple[str, ...] | str) -> None:
    adapted = add_adapter(tiny(), LoraParams(target_modules=targets), 0)
    assert any("lora_A" in name for name, _ in adapted.named_parameters())


@pytest.mark.parametrize("targets", [("q_proj", "v_projj"), ("v_projj",), ("proj",)])
def test_a_name_that_no_layer_has_is_refused_even_beside_one_that_is_found(
    targets: tuple[str, ...],
) -> None:
    with pytest.raises(InputError, match=r"which no layer of this model is called; .* q_proj"):
        add_adapter(tiny(), LoraParams(target_modules=targets), 0)
