"""How long a training run will take and what memory, told before its first step from one real batch."""

import logging
import time
from typing import Any

import numpy as np
import psutil
import torch

from mopo_pipeline.arrays import Index
from mopo_pipeline.language.forward import hidden_size, response_logprobs
from mopo_pipeline.memory import FIT
from mopo_pipeline.parameters.fit import FixedFit
from mopo_pipeline.training.batches import WeightedBatch, collate
from mopo_pipeline.training.loss import weighted_nll
from mopo_pipeline.training.trainer import WeightedTrainer

log = logging.getLogger(__name__)

BATCHES = 8
"""First batches of a run, of which the one of average length is timed."""

LOOKED_AT = 1000
"""First batches of a run among which the largest is looked for."""

QUICK = 1.0
"""Seconds below which a batch is timed again: the first one pays for what is set up once."""

LONG = 3600.0
"""Seconds from which a run is told as a warning, with what makes it shorter."""


def tell_cost(trainer: WeightedTrainer, name: str, where: str, fit: FixedFit, done: int) -> None:
    """Log how long the steps that are left will take, and the memory their largest batch needs, by a forward and backward pass.

    Nothing of the run is touched: no parameter, no random stream. Activations are computed again where training computes
    them again, or a run that fits would fail here. Where each process holds a part of the model, nothing is tried.

    Args:
        trainer: ready to train.
        name: of the run.
        where: what its parameters are called, such as ``train.fit``.
        fit: its parameters.
        done: steps of a run that goes on.
    """
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    left = fit.steps - done
    if sharded or left <= 0 or not trainer.args.should_save:
        return
    if fit.gradient_checkpointing:
        model: Any = trainer.model
        model.activation_checkpointing_enable()
    typical, largest = typical_batch(trainer), largest_batch(trainer, fit.steps)
    once, kept = cost_of(trainer, typical)
    if once < QUICK:
        once = min(once, cost_of(trainer, typical)[0])
    each = once * fit.accumulation
    rows = fit.batch_size * fit.accumulation
    size = kept * largest.packed.input_ids.numel() / typical.packed.input_ids.numel()
    device = trainer.args.device
    said = (
        f"{name}: {left} steps of {rows} rows, {left * rows / len(trainer.rows.ids):.1f} times over "
        f"{len(trainer.rows.ids)} rows, take about {spoken(left * each)} on {device.type} "
        f"(drawing, judging and looking not counted) and {in_bytes(size)} beside the model"
    )
    if left * each < LONG:
        log.info("%s", said)
    else:
        log.warning("%s; %s.steps or %s.epochs makes it shorter", said, where, where)
    if size > (free := free_memory(device)):
        told = (
            f"{name}: {in_bytes(free)} are free on {device.type}, less than its largest batch takes"
        )
        log.warning("%s: %s", told, FIT.format(where))


def free_memory(device: torch.device) -> int:
    """Bytes nothing uses, of an accelerator's memory or the machine's."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def typical_batch(trainer: WeightedTrainer) -> WeightedBatch:
    """Of the run's first batches, the one whose rows are nearest to average length."""
    tokens = tokens_of_batches(trainer, BATCHES)
    return batch_at(trainer, int(np.abs(tokens - tokens.mean()).argmin()))


def largest_batch(trainer: WeightedTrainer, steps: int) -> WeightedBatch:
    """Of a run's batches as they are drawn now, the one with the most tokens among the first thousand."""
    return batch_at(trainer, int(tokens_of_batches(trainer, min(steps, LOOKED_AT)).argmax()))


def tokens_of_batches(trainer: WeightedTrainer, batches: int) -> Index:
    """Tokens of the distinct rows of each of the run's first ``batches``, (batches,)."""
    size = trainer.args.per_device_train_batch_size
    drawn, _ = trainer.sampler.draw(np.arange(batches * size))
    rows = np.sort(trainer.rows.representatives[drawn].reshape(batches, size), axis=1)
    again = np.diff(rows, axis=1, prepend=-1) == 0
    return np.asarray(np.where(again, 0, trainer.rows.lengths[rows]).sum(axis=1), dtype=np.int64)


def batch_at(trainer: WeightedTrainer, number: int) -> WeightedBatch:
    """A batch of the run by its number, laid out for the model."""
    size = trainer.args.per_device_train_batch_size
    drawn, counts = trainer.sampler.draw(np.arange(number * size, (number + 1) * size))
    hidden = hidden_size(trainer.model) if trainer.sharing else None
    return collate(trainer.rows, drawn, counts, hidden, trainer.args.device)


def cost_of(trainer: WeightedTrainer, batch: WeightedBatch) -> tuple[float, int]:
    """Wall-clock seconds of one forward and backward pass, and bytes kept from the one for the other."""
    model: Any = trainer.model
    devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
    was_training, kept = model.training, Kept(model)
    with torch.random.fork_rng(devices=devices):
        model.train()
        began = time.perf_counter()
        with trainer.accelerator.autocast(), kept.counted():
            logprob = response_logprobs(model, batch.packed)
            loss = weighted_nll(logprob, batch.weight, trainer.mean_length).sum() / batch.draws
        loss.backward()
        if devices:
            torch.cuda.synchronize(trainer.args.device)
        taken = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return taken, kept.size


class Kept:
    """Bytes of the tensors a forward pass keeps, each memory once, the model's own parameters apart."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self._sizes: dict[int, int] = {}

    @property
    def size(self) -> int:
        """All of them."""
        return sum(self._sizes.values())

    def counted(self) -> Any:
        """A context in which what is kept is counted."""
        return torch.autograd.graph.saved_tensors_hooks(self._count, lambda tensor: tensor)

    def _count(self, tensor: torch.Tensor) -> torch.Tensor:
        """Count a tensor (..., size) and keep it as it is."""
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in self._own:
            self._sizes[memory.data_ptr()] = memory.nbytes()
        return tensor


def spoken(seconds: float) -> str:
    """Seconds as a person says them.

    >>> spoken(0.4), spoken(75.0), spoken(600.0), spoken(50000.0)
    ('1 s', '75 s', '10 min', '13.9 h')
    """
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def in_bytes(size: float) -> str:
    """Bytes as a person says them.

    >>> in_bytes(2e3), in_bytes(4.2e7), in_bytes(5.86e9)
    ('1 MB', '42 MB', '5.9 GB')
    """
    return f"{max(size / 1e6, 1):.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
