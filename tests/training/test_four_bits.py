"""A base in 4 bits: what it is loaded with, who refuses it, and which reference its run is measured from."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mopo_pipeline.errors import InputError
from mopo_pipeline.language import loading
from mopo_pipeline.language.loading import four_bits, load_model
from mopo_pipeline.launching import worker
from mopo_pipeline.launching.fit_checks import check_quantised
from mopo_pipeline.launching.run import TrainingRun, prepare
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.reference import ReferenceParams
from mopo_pipeline.parameters.train import TrainParams
from mopo_pipeline.policies.reference import make_reference
from mopo_pipeline.training import assemble
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run, tiny_texts

QLORA = LoraParams(r=2, target_modules=("q_proj", "v_proj"), load_in_4bit=True)
INSTALLED = importlib.util.find_spec("bitsandbytes") is not None


def coarse(spec: Path, *, load_in_4bit: bool = False, **given: Any) -> Any:
    """A model whose linear layers are rounded to 15 levels where 4 bits are asked for; a stand-in that needs no library."""
    model, tokenizer = load_model(spec, **given)
    if load_in_4bit:
        for module in model.model.modules():
            if isinstance(module, torch.nn.Linear):
                scale = module.weight.data.abs().max() / 7
                module.weight.data = (module.weight.data / scale).round() * scale
    return model, tokenizer


@pytest.fixture(params=["rounded", *(["bitsandbytes"] if INSTALLED else [])])
def quantised(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "rounded":
        monkeypatch.setattr(assemble, "load_model", coarse)
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    return replace(tiny_run(tiny_model(tmp_path / "model", width=64), every=3), lora=QLORA)


def prepared(run: TrainingRun, root: Path) -> WeightedTrainer:
    directory = prepare(run, root)
    return prepare_trainer(directory, RunSpec.read(directory))[0]


@pytest.mark.slow
def test_a_policy_that_has_not_moved_has_ratio_one_to_the_quantised_base(
    quantised: str, run: TrainingRun, tmp_path: Path
) -> None:
    trainer = prepared(run, tmp_path / "runs")
    seen: dict[str, np.ndarray] = {}

    def stop(*_: object, **__: object) -> None:
        seen["now"] = trainer.logprobs_now()
        raise KeyboardInterrupt

    trainer.callback_handler.callbacks[-1].on_step_begin = stop
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    plain = run.rows["reference_logprob"].to_numpy()
    assert np.abs(seen["now"] - plain).max() > 0.01, "4 bits are not the reference as it was scored"
    np.testing.assert_array_equal(seen["now"], trainer.first_logprob)
    state = trainer.lag_state
    np.testing.assert_array_equal(state.initial_logprob, trainer.first_logprob)
    np.testing.assert_array_equal(state.lagged_logprob, trainer.first_logprob)


@pytest.mark.slow
def test_the_first_reference_is_the_same_base_without_its_adapter_whatever_was_learned(
    quantised: str, run: TrainingRun, tmp_path: Path
) -> None:
    trainer = prepared(run, tmp_path / "runs")
    trainer.train()
    moved = trainer.logprobs_now() - trainer.first_logprob
    assert np.abs(moved).max() > 0.01
    with trainer.model.disable_adapter():
        np.testing.assert_allclose(trainer.logprobs_now(), trainer.first_logprob, atol=1e-4)
    trained = {name for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


@pytest.mark.slow
def test_a_quantised_run_leaves_an_adapter_of_the_whole_reference(
    quantised: str, run: TrainingRun, tmp_path: Path
) -> None:
    directory = prepare(run, tmp_path / "runs")
    worker.main(directory)
    final = directory / "final"
    assert {"adapter_model.safetensors", "tokenizer.json"} <= {f.name for f in final.iterdir()}
    assert not (final / "model.safetensors").exists()
    model, _ = load_model(final, base=run.model, device="cpu")
    base = dict(load_model(run.model, device="cpu")[0].named_parameters())
    own = model.get_base_model().model.embed_tokens.weight
    assert torch.equal(own, base["model.embed_tokens.weight"])


if INSTALLED:

    def test_the_library_holds_linear_layers_in_four_bits_and_the_vocabulary_whole(
        tmp_path: Path,
    ) -> None:
        model, _ = load_model(tiny_model(tmp_path, width=64), device="cpu", load_in_4bit=True)
        layer = model.model.layers[0].mlp.up_proj
        assert type(layer).__name__ == "Linear4bit"
        assert layer.weight.numel() * 2 == 64 * 256
        assert model.model.embed_tokens.weight.dtype == torch.float32


def test_a_base_in_four_bits_is_asked_for_as_qlora_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "check_four_bits", lambda: None)
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda **given: given)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert four_bits("bfloat16", "cuda") == {
        "device_map": {"": 1},
        "quantization_config": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": torch.bfloat16,
        },
    }
    assert four_bits("float32", "cpu")["device_map"] == {"": "cpu"}


def without_library(patch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    patch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "bitsandbytes" else find(n, *a)
    )


def without_gpu(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mopo_pipeline.launching.fit_checks.check_four_bits", lambda: None)
    patch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (without_library, r"pip install 'mopo_pipeline\[qlora\]'"),
        (without_gpu, "train.lora.load_in_4bit is for a GPU"),
    ],
)
def test_what_a_quantised_run_lacks_is_said_before_the_reference_is_trained(
    lacking: Callable[[pytest.MonkeyPatch], None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking(monkeypatch)
    prompts, answers = tiny_texts()
    responses = pd.DataFrame({"prompt": prompts, "response": answers, "split": "train"})
    work = tmp_path / "work"
    policy = TrainParams(lora=QLORA, work_dir=work)
    with pytest.raises(InputError, match=said) as error:
        make_reference(responses, 0, ReferenceParams(work_dir=work), policy, ("help",))
    assert "\n" not in str(error.value)
    assert list(work.iterdir()) == []


def test_a_base_in_four_bits_is_not_shared_out_over_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopo_pipeline.launching.fit_checks.check_four_bits", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    file = Path(__file__).parents[2] / "conf/accelerate/8_gpus_fsdp2.yaml"
    with pytest.raises(InputError, match=r"keeps a whole model on each GPU, but .* asks for FSDP"):
        check_quantised(QLORA, FitParams(accelerate=file), "train.fit")
    check_quantised(QLORA, FitParams(), "train.fit")
    check_quantised(LoraParams(), FitParams(accelerate=file), "train.fit")
