"""How long a training run will take, told before its first step from one real batch."""

import logging
import time
from typing import Any

import numpy as np
import torch

from mopo_pipeline.language.forward import hidden_size, response_logprobs
from mopo_pipeline.parameters.fit import FixedFit
from mopo_pipeline.training.batches import WeightedBatch, collate
from mopo_pipeline.training.loss import weighted_nll
from mopo_pipeline.training.trainer import WeightedTrainer

log = logging.getLogger(__name__)

BATCHES = 8
"""First batches of a run, of which the one of average length is timed."""

RECOMPUTED = 4 / 3
"""Time of a step in which activations are computed again, over one in which they are kept."""

QUICK = 1.0
"""Seconds below which a batch is timed again: the first one pays for what is set up once."""

LONG = 3600.0
"""Seconds from which a run is told as a warning, with what makes it shorter."""


def tell_time(trainer: WeightedTrainer, name: str, where: str, fit: FixedFit, done: int) -> None:
    """Log how long the steps that are left will take, by a timed forward and backward pass.

    Nothing of the run is touched: no parameter, no random stream. Where each process holds a part of the model, nothing
    is timed.

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
    batch = typical_batch(trainer)
    once = seconds_of(trainer, batch)
    if once < QUICK:
        once = min(once, seconds_of(trainer, batch))
    each = once * fit.accumulation * (RECOMPUTED if fit.gradient_checkpointing else 1.0)
    rows = fit.batch_size * fit.accumulation
    said = (
        f"{name}: {left} steps of {rows} rows, {left * rows / len(trainer.rows.ids):.1f} times over "
        f"{len(trainer.rows.ids)} rows, take about {spoken(left * each)} on {trainer.args.device.type} "
        "(drawing, judging and looking not counted)"
    )
    if left * each < LONG:
        log.info("%s", said)
    else:
        log.warning("%s; %s.steps or %s.epochs makes it shorter", said, where, where)


def typical_batch(trainer: WeightedTrainer) -> WeightedBatch:
    """Of the run's first batches, the one whose rows are nearest to average length."""
    size = trainer.args.per_device_train_batch_size
    drawn, counts = trainer.sampler.draw(np.arange(BATCHES * size))
    lengths = trainer.rows.lengths[drawn].reshape(BATCHES, size).sum(axis=1)
    best = int(np.abs(lengths - lengths.mean()).argmin())
    chosen = slice(best * size, (best + 1) * size)
    hidden = hidden_size(trainer.model) if trainer.sharing else None
    return collate(trainer.rows, drawn[chosen], counts[chosen], hidden, trainer.args.device)


def seconds_of(trainer: WeightedTrainer, batch: WeightedBatch) -> float:
    """Wall-clock seconds of one forward and backward pass."""
    model: Any = trainer.model
    devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
    was_training = model.training
    with torch.random.fork_rng(devices=devices):
        model.train()
        began = time.perf_counter()
        with trainer.compute_loss_context_manager():
            logprob = response_logprobs(model, batch.packed)
            loss = weighted_nll(logprob, batch.weight, trainer.mean_length).sum() / batch.draws
        loss.backward()
        if devices:
            torch.cuda.synchronize(trainer.args.device)
        taken = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return taken


def spoken(seconds: float) -> str:
    """Seconds as a person says them.

    >>> spoken(0.4), spoken(75.0), spoken(600.0), spoken(50000.0)
    ('1 s', '75 s', '10 min', '13.9 h')
    """
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
