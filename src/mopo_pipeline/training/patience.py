"""A run that may end before its last step: thresholds are seen to hold, and the primary gains no more."""

import logging
from dataclasses import replace

import numpy as np
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo import Finding
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.schedule.candidates import Weighed, weighed
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.training.batches import Positions
from mopo_pipeline.training.trainer import WeightedTrainer

log = logging.getLogger(__name__)


def after_look(state: LagState, seen: Seen, against: Weighed) -> LagState:
    """Count looks in a row that hold every threshold with its margin while the primary gains no more than its noise.

    Args:
        state: before the look.
        seen: the policy's values on validation prompts.
        against: the same with what is asked of them.
    """
    primary = float(against.values[0])
    if against.shortfall > 0.0 or np.isnan(primary):
        return replace(state, stalled=0, best=-np.inf)
    if primary > state.best + float(seen.errors[0]):
        return replace(state, stalled=0, best=primary)
    return replace(state, stalled=state.stalled + 1)


def look(trainer: WeightedTrainer, seen: Seen, required: Array) -> None:
    """Write down what was seen on validation prompts, and what is asked of it (K-1,); the run's state counts the look."""
    trainer.watched.look(seen, required)
    trainer.lag_state = after_look(trainer.lag_state, seen, weighed(seen, required))
    if trainer.is_world_process_zero():
        log.info("step %d, validation: %s", trainer.state.global_step, trainer.watched.told)


def take_no_step(trainer: WeightedTrainer, step: int) -> None:
    """Let a run that is resumed at its early end be over there, as one is that is resumed at its last step."""
    args = trainer.args
    rows = args.gradient_accumulation_steps * args.world_size * args.per_device_train_batch_size
    args.max_steps, trainer.train_dataset = step, Positions(step * rows)


def stopped(state: LagState, patience: int | None) -> bool:
    """Whether a run has come to its end before its last step."""
    return patience is not None and state.stalled >= patience


def end_early(
    lag_state: LagState, patience: int | None, state: TrainerState, control: TrainerControl
) -> None:
    """Ask the trainer to end after this step, logged and saved, where nothing more is gained."""
    if stopped(lag_state, patience):
        log.info("step %d: validation holds and the primary gains no more", state.global_step)
        control.should_training_stop = control.should_log = control.should_save = True


def early_findings(
    lag_state: LagState, patience: int | None, step: int, steps: int
) -> list[Finding]:
    """What to tell of a run that ended before its last step."""
    if step >= steps or not stopped(lag_state, patience):
        return []
    return [
        Finding(
            "training ended early",
            float(step),
            float(steps),
            f"thresholds were seen to hold and the primary gained no more in {lag_state.stalled} looks in a row "
            "(train.loop.patience)",
            "info",
        )
    ]
