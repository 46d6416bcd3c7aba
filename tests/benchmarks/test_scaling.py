"""What the page on cost promises is what the memory model says, and what that says of activations is what a model keeps."""

import importlib
import importlib.util
import io
import re
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console
from transformers import LlamaConfig, LlamaForCausalLM

from conftest import PROJECT
from mopo_pipeline.launching.estimate import Kept


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scaling", PROJECT / "benchmarks/scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


def test_16_rows_of_an_8b_model_fit_a_card_of_24_gb_in_4_bits_and_not_without(
    scaling: ModuleType,
) -> None:
    room, shape = 0.9 * 24e9, scaling.SHAPES["8B"]
    load = replace(scaling.QLORA, rows=16)
    assert sum(scaling.memory(shape, load).values()) < room
    assert sum(scaling.memory(shape, replace(load, load_in_4bit=False)).values()) > room


def test_the_page_says_what_the_model_says(scaling: ModuleType) -> None:
    page = (PROJECT / "docs/scaling.md").read_text(encoding="utf-8")
    [said] = re.findall(
        r"8 rows of 1024 tokens take ([\d.]+) GB, 4 rows ([\d.]+), 2 rows ([\d.]+), 1 row ([\d.]+)",
        page,
    )
    needed = [
        sum(scaling.memory(scaling.SHAPES["8B"], replace(scaling.QLORA, rows=rows)).values()) / 1e9
        for rows in (8, 4, 2, 1)
    ]
    assert [f"{gb:.1f}" for gb in needed] == list(said)


def test_the_table_of_gpus_is_what_the_model_says(scaling: ModuleType) -> None:
    console = Console(file=io.StringIO(), width=120)
    scaling.predict(console, 989e12, 0.35)
    rows = re.findall(
        r"^│ *(\S+) │ *(\S+) │ *\d+ │ *(\d+) │ *\S+ │ *(\S*) │", console.file.getvalue(), re.M
    )
    page = (PROJECT / "docs/scaling.md").read_text(encoding="utf-8")
    pattern = (
        r"^\| (\S+B) \| (LoRA|all) \| 1 / 8 / 64 \| (\d+) / (\d+) / (\d+) \| [^|]* \| (\S+) \|"
    )
    said = re.findall(pattern, page, re.M)
    assert len(said) == 6
    for name, trained, *needed, seconds in said:
        found = [row for row in rows if row[:2] == (name, trained)]
        assert [gb for *_, gb, _ in found] == needed
        assert f"{float(found[-1][-1]):.3g}" == f"{float(seconds):.3g}"


def test_the_table_of_refreshes_is_what_the_model_says(
    scaling: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two figures of it by hand: 8B draws 256 tokens in 64 batches, and reads 16.06 GB of weights and 7.5 GB of keys and values for each."""
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    importlib.import_module("refresh_terms").predict()
    page = (PROJECT / "docs/scaling.md").read_text(encoding="utf-8")
    said = [re.findall(r"[\d.]+B?", row) for row in capsys.readouterr().out.splitlines()]
    rows = [re.findall(r"[\d.]+B?", row) for row in page.splitlines()]
    assert len(said) == 4 and all(row in rows for row in said), said
    passes, read = 256 * 64, 16.06e9 + 64 * 896 * 2 * 2 * 32 * 1024
    prompts = 256 * 768 * 2 * 6.979e9 / (0.35 * 989e12)
    assert float(said[1][2]) == pytest.approx(passes * read / 3.35e12 + prompts, rel=0.01)


def test_only_the_weights_shrink_in_4_bits(scaling: ModuleType) -> None:
    shape = scaling.SHAPES["8B"]
    small, whole = (
        scaling.memory(shape, replace(scaling.QLORA, load_in_4bit=bits)) for bits in (True, False)
    )
    assert {name for name in whole if small[name] != whole[name]} == {"weights"}
    assert small["weights"] < 0.4 * whole["weights"]


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("checkpointing", [True, False])
def test_what_a_layer_keeps_in_bfloat16_is_what_the_memory_model_says(
    scaling: ModuleType, lora: bool, checkpointing: bool
) -> None:
    """Saved tensors of a second layer, in bytes a token, on the shape of a small Llama."""
    shape = scaling.Shape(1, 256, 896, 8, 2, 64, tied=False)
    rows, length = 4, 128
    load = scaling.Load(rows, length, 0, lora, checkpointing, bytes_per_number=2)
    one, two = (replace(shape, layers=layers) for layers in (1, 2))
    kept = kept_bytes(two, load) - kept_bytes(one, load)
    said = scaling.memory(two, load)["activations"] - scaling.memory(one, load)["activations"]
    casts = 0 if lora or checkpointing else 2 * one.block_parameters
    assert kept == pytest.approx(said + casts, rel=0.02)


def kept_bytes(shape: Any, load: Any) -> int:
    """What the forward pass of a random model keeps for the way back, its parameters apart."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
    )
    model: Any = LlamaForCausalLM(config)
    if load.lora:
        adapters = LoraConfig(r=2, target_modules="all-linear")
        model = get_peft_model(model.to(torch.bfloat16), adapters)
    model.train()
    if load.checkpointing:
        model.activation_checkpointing_enable()
    kept, ids = Kept(model), torch.randint(0, shape.vocabulary, (load.rows, load.length))
    with torch.autocast("cpu", dtype=torch.bfloat16), kept.counted():
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return kept.size
