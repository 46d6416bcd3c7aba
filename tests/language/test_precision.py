"""The policy's first log-probabilities are those of the trained model in its own precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import TrainerCallback

from mopo_pipeline.launching.run import prepare
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.callbacks import FirstLogprobs
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run, with_fit


class First(TrainerCallback):
    """Log-ratio of the untouched policy to the reference, before the first step."""

    def __init__(self, trainer: WeightedTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            lag = self.trainer.lag_state
            self.ratio = self.trainer.logprobs_now() - lag.initial_logprob


def trained(tmp_path: Path, lora: bool, own: bool = True, **fit: Any) -> tuple[Any, np.ndarray]:
    run = with_fit(tiny_run(tiny_model(tmp_path / "model", width=64)), dtype="bfloat16", **fit)
    if lora:
        from dataclasses import replace

        run = replace(run, lora=LoraParams(r=2, alpha=4))
    directory = prepare(run, tmp_path / "work")
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
    if not own:
        trainer.remove_callback(FirstLogprobs)
    first = First(trainer)
    trainer.add_callback(first)
    trainer.train()
    return trainer, first.ratio


@pytest.mark.slow
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_same_weights_twice_in_bfloat16_have_a_ratio_of_exactly_one(
    tmp_path: Path, lora: bool
) -> None:
    _, ratio = trained(tmp_path, lora, steps=1)
    assert (ratio == 0).all()


@pytest.mark.slow
def test_against_a_float32_reference_they_would_not(tmp_path: Path) -> None:
    """Negative control."""
    _, ratio = trained(tmp_path, False, own=False, steps=1)
    assert abs(ratio).max() > 1e-4


@pytest.mark.slow
def test_a_resumed_run_keeps_the_first_log_probabilities(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path, False, steps=8, save_every=4)
    kept = load_file(Path(whole.args.output_dir) / "checkpoint-4/mopo_state.safetensors")
    np.testing.assert_array_equal(kept["first_logprob"], whole.first_logprob)
    directory = Path(whole.args.output_dir)
    again, _ = prepare_trainer(directory, RunSpec.read(directory))
    assert (again.first_logprob != whole.first_logprob).any(), "float32 until it is resumed"
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-4"))
    np.testing.assert_array_equal(again.first_logprob, whole.first_logprob)
    for name, value in again.model.state_dict().items():
        assert (value == whole.model.state_dict()[name]).all(), name
