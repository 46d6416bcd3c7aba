"""A policy starts where an earlier one ended: its weights, not its optimiser, its reference or its multipliers."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import sharded
from mopo_pipeline.training.trainer import WeightedTrainer

ADAPTER = "adapter_config.json"


class StartCallback(TrainerCallback):
    """Give the model an earlier policy's weights before the first step, once the first reference was looked at.

    Args:
        trainer: of the run.
        start: directory of the policy.
    """

    def __init__(self, trainer: WeightedTrainer, start: Path) -> None:
        self.trainer, self.start = trainer, start

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Copy the weights, unless the run goes on from a checkpoint.

        Raises:
            InputError: the policy has other weights than the model, or processes hold a part of the model each.
        """
        if state.global_step:
            return
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        if sharded(model):
            raise InputError(
                "train.start: a sharded model starts from its reference; set train.start to null"
            )
        take_weights(model, self.start)


@torch.no_grad()
def take_weights(model: Any, start: Path) -> None:
    """Give a model, or its adapter, the weights of a policy.

    Raises:
        InputError: names the first weight that only one of them has, or that differs in shape.
    """
    adapted = hasattr(model, "peft_config")
    if adapted != (start / ADAPTER).is_file():
        kinds = ("an adapter", "full weights")
        own, other = kinds if adapted else reversed(kinds)
        raise InputError(
            f"train.start: {start} holds {other}, this run trains {own}: set train.lora alike"
        )
    if adapted:
        from peft import get_peft_model_state_dict, load_peft_weights

        given = load_peft_weights(str(start), device="cpu")
        own_weights = get_peft_model_state_dict(model)
    else:
        given = dict(load_model(start, device="cpu")[0].named_parameters())
        own_weights = dict(model.named_parameters())
    for name in sorted(given.keys() | own_weights.keys()):
        shapes = [tuple(w[name].shape) if name in w else None for w in (given, own_weights)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"train.start: {start} has {name} of shape {shapes[0]}, this run of shape {shapes[1]}: give a policy "
                "trained from the same reference"
            )
    for name, weight in own_weights.items():
        weight.copy_(given[name])
