"""Models that are incomplete, or do not fit their tokenizer, are a line before anything is trained."""

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_lengths import responses

from mopo_pipeline.errors import InputError
from mopo_pipeline.language import adapters
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.sealed import seal
from mopo_pipeline.launching.run import train
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.policies.reference_logprobs import measured
from tiny_tokenizers import chatml_tokenizer, save_tiny
from tiny_training import tiny_model, tiny_run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model", chatml_tokenizer())


def refused(model: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(model)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)
    return str(caught.value)


def test_missing_weights_are_an_error_and_named(model: Path) -> None:
    path = model / "model.safetensors"
    weights = load_file(path)
    lost = "model.layers.1.mlp.up_proj.weight"
    save_file({k: v for k, v in weights.items() if k != lost}, path, {"format": "pt"})
    assert f"has no weights for {lost} of LlamaForCausalLM" in refused(model)


@pytest.mark.parametrize("length", [0, 200, -50])
def test_a_weight_file_that_was_cut_short(model: Path, length: int) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert "cut short: download or save it again" in refused(model)


def test_a_git_lfs_pointer_is_not_weights(model: Path) -> None:
    (model / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
    )
    assert "model.safetensors is a git-lfs pointer" in refused(model)


def test_a_pad_token_beyond_the_embedding(tmp_path: Path) -> None:
    tokenizer = chatml_tokenizer()
    size = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    model = save_tiny(tmp_path / "model", tokenizer, vocab_size=size)
    said = refused(model)
    assert f"pad_token '<pad>' has id {size}, but the model embeds {size} tokens" in said


def test_a_token_of_the_data_beyond_the_embedding_names_the_response(tmp_path: Path) -> None:
    tokenizer = chatml_tokenizer()
    size = len(tokenizer)
    tokenizer.add_tokens(["because"])
    model = save_tiny(tmp_path / "model", tokenizer, vocab_size=size)
    with pytest.raises(InputError, match=f"response 'r1' with token {size}, but the model embeds"):
        measured(model, responses(), None)


def trained_reference(tmp_path: Path, **lora: Any) -> Any:
    run = tiny_run(tiny_model(tmp_path / "model"), every=None)
    fit = FitParams(steps=2, batch_size=8, learning_rate=0.05, device="cpu")
    rows = run.rows.assign(weight=1.0, reference_logprob=float("nan"))
    from mopo_pipeline.launching.run import TrainingRun

    whole = TrainingRun("reference", run.model, rows, fit, 0, lora=LoraParams(r=4, **lora))
    return train(whole, tmp_path / "work").directory


def test_adapters_on_an_output_layer_tied_to_the_embedding_are_refused_before_training(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"reference.lora.target_modules names the output layer"):
        trained_reference(tmp_path, target_modules=("q_proj", "lm_head"))
    assert not list((tmp_path / "work").glob("*/checkpoint-*"))


@pytest.mark.slow
def test_a_merged_model_is_held_against_the_trained_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mopo_pipeline.language.tokens import encode
    from mopo_pipeline.policies.reference import merged

    directory = trained_reference(tmp_path)
    base = tmp_path / "model"
    rows = tiny_run(base).rows
    texts = rows["prompt"].tolist(), rows["response"].tolist()
    probe = encode(load_model(base)[1], *texts, None)
    folded, _ = load_model(merged(directory, base, tmp_path, probe))
    adapted, _ = load_model(directory)
    expected = adapters.row_logprobs(adapted, probe)
    np.testing.assert_allclose(adapters.row_logprobs(folded, probe), expected, atol=1e-3)
    monkeypatch.setattr(adapters, "check_mergeable", lambda _: None)
    monkeypatch.setattr("mopo_pipeline.training.assemble.check_mergeable", lambda _: None)
    tied = trained_reference(tmp_path / "tied", target_modules=("q_proj", "lm_head"))
    with pytest.raises(InputError, match="merging the adapter changed a log-probability"):
        merged(tied, tmp_path / "tied/model", tmp_path, probe)


def test_what_is_written_has_the_users_permissions(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.chmod(0o600)
    model.chmod(0o700)
    before = os.umask(0o027)
    try:
        seal(model)
    finally:
        os.umask(before)
    assert stat.S_IMODE(model.stat().st_mode) == 0o750
    assert stat.S_IMODE(weights.stat().st_mode) == 0o640
