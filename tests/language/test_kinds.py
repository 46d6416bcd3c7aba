"""Models that load as language models and are none."""

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.kinds import named_base, other_kind
from mopo_pipeline.language.loading import load_model
from tiny_tokenizers import chatml_tokenizer

TINY = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    chatml_tokenizer().save_pretrained(folder)
    return folder


def bart(size: int) -> Any:
    layers = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers",)}
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    wide = {f"{part}_ffn_dim": 32 for part in ("encoder", "decoder")}
    config = BartConfig(vocab_size=size, d_model=16, **layers, **heads, **wide)
    return BartForConditionalGeneration(config)


def test_what_has_all_weights_of_a_language_model_and_is_none_is_refused(tmp_path: Path) -> None:
    """Each of them loads without a missing weight."""
    size = len(chatml_tokenizer())
    bert = BertConfig(vocab_size=size, **TINY)
    scorer = LlamaConfig(vocab_size=size, tie_word_embeddings=True, **TINY)
    for model, said in (
        (BertForMaskedLM(bert), "it was saved as BertForMaskedLM"),
        (BertLMHeadModel(bert), "bert reads texts from both ends"),
        (bart(size), "it reads the prompt by an encoder"),
        (LlamaForSequenceClassification(scorer), "saved as LlamaForSequenceClassification"),
    ):
        folder = saved(model, tmp_path / type(model).__name__)
        with pytest.raises(InputError, match=f"{folder} is no causal language model: .*{said}"):
            load_model(folder)


def test_language_models_are_taken_whatever_they_were_saved_as() -> None:
    for config in (
        LlamaConfig(architectures=["LlamaForCausalLM"]),
        LlamaConfig(architectures=["LlamaModel"]),
        LlamaConfig(),
        LlamaConfig(architectures=["MyOwnForCausalLM"]),
        BertConfig(is_decoder=True, architectures=["BertLMHeadModel"]),
    ):
        assert other_kind(config) is None


def test_an_adapter_s_base_may_lie_beside_it_or_be_unknown(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "adapter").mkdir()
    for named, found in (("base", tmp_path / "base"), ("org/name", "org/name"), ("", None)):
        text = f'{{"base_model_name_or_path": "{named}"}}'
        (tmp_path / "adapter" / "adapter_config.json").write_text(text)
        assert named_base(tmp_path / "adapter") == found


def test_a_model_with_code_of_its_own_is_refused_without_the_advice_to_run_it(
    tmp_path: Path,
) -> None:
    size = len(chatml_tokenizer())
    folder = saved(LlamaForCausalLM(LlamaConfig(vocab_size=size, **TINY)), tmp_path / "own")
    config = folder / "config.json"
    own = '"auto_map": {"AutoConfig": "own.Config"}, "model_type": "own"'
    config.write_text(config.read_text().replace('"model_type": "llama"', own))
    with pytest.raises(InputError, match="brings code of its own, which is never run here") as told:
        load_model(folder)
    assert "trust_remote_code" not in str(told.value)


def adapter_of(base: Path, folder: Path, config: Any) -> Path:
    from peft import get_peft_model

    adapted = get_peft_model(load_model(base)[0], config)
    adapted.save_pretrained(folder)
    return folder


def test_adapters_that_cannot_be_read_or_put_tokens_before_the_prompt_are_refused(
    tmp_path: Path,
) -> None:
    from peft import LoraConfig, PromptTuningConfig

    size = len(chatml_tokenizer())
    base = saved(LlamaForCausalLM(LlamaConfig(vocab_size=size, **TINY)), tmp_path / "base")
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    cut = adapter_of(base, tmp_path / "cut", lora)
    chatml_tokenizer().save_pretrained(cut)
    assert load_model(cut)[0].active_peft_config.r == 2
    weights = cut / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:9])
    with pytest.raises(InputError, match="cut is an adapter that cannot be read"):
        load_model(cut)
    (cut / "adapter_config.json").write_text(
        f'{{"peft_type": "NEW", "base_model_name_or_path": "{base}"}}'
    )
    with pytest.raises(InputError, match="cut is an adapter that cannot be read: 'NEW'"):
        load_model(cut)
    before = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(InputError, match="puts tokens before the prompt"):
        load_model(adapter_of(base, tmp_path / "before", before))


def test_a_file_of_weights_is_answered_by_its_folder() -> None:
    with pytest.raises(InputError, match="is a file of weights, not a model: name the folder"):
        load_model("models/model.safetensors")
