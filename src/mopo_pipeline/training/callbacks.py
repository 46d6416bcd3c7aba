"""What a training run does between steps: refreshes, first log-probabilities, progress."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rich.progress import Progress
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.training.step_log import StepLog
from mopo_pipeline.training.trainer import WeightedTrainer

Ended = Callable[[TrainerState, TrainerControl], None]
"""Asks the trainer to end where nothing more is gained."""


class RefreshCallback(TrainerCallback):
    """Call ``refresh`` after every ``every`` steps, before a checkpoint of that step is written; ``ended`` may end the run."""

    def __init__(self, every: int, refresh: Any, ended: Ended) -> None:
        self.every, self.refresh, self.ended = every, refresh, ended

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Refresh unless the run ends here."""
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            self.refresh()
            self.ended(state, control)


class CorrectionCallback(TrainerCallback):
    """Call ``correct`` after some steps, before these are logged and saved; ``ended`` may end the run."""

    def __init__(self, steps: list[int], correct: Any, ended: Ended) -> None:
        self.steps, self.correct, self.ended = set(steps), correct, ended

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Correct here or do nothing."""
        if state.global_step in self.steps:
            self.correct()
            self.ended(state, control)


class LookCallback(TrainerCallback):
    """Call ``look`` after the last step, before it is logged."""

    def __init__(self, look: Any) -> None:
        self.look = look

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Look where the run ends."""
        if state.global_step == state.max_steps:
            self.look()


class SavedIsLogged(TrainerCallback):
    """Log a step that is saved, the last one among them: what was watched since the last logged step is in no checkpoint.

    A run that goes on from there logs what one that was not stopped does, and the last look at validation prompts is
    written however many steps there are.
    """

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Log before the checkpoint is written."""
        control.should_log = control.should_log or control.should_save


class FirstLogprobs(TrainerCallback):
    """Take the first log-probabilities from the trained model itself, before its first step.

    Those of the reference were computed in single precision; in another the same weights give others,
    and their difference would pass for a move of the policy.
    """

    def __init__(self, trainer: WeightedTrainer, validation: EncodedRows | None) -> None:
        self.trainer, self.validation = trainer, validation

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Score the rows, unless the run goes on from a checkpoint."""
        if state.global_step:
            return
        trainer, logprob = self.trainer, self.trainer.logprobs_now()
        trainer.first_logprob = logprob
        if self.validation is not None:
            model = trainer.accelerator.unwrap_model(trainer.model)
            trainer.first_validation = trainer.score(
                model, self.validation, "labelled validation answers"
            )
        trainer.lag_state = replace(
            trainer.lag_state,
            initial_logprob=logprob,
            lagged_logprob=logprob,
            pending_logprob=logprob,
        )


class ProgressCallback(TrainerCallback):
    """A progress bar with time left and, per objective, what was last seen on validation prompts."""

    def __init__(
        self, progress: Progress, description: str, watched: StepLog | None = None
    ) -> None:
        self.progress, self.description, self.watched = progress, description, watched

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the bar where the run (re)starts."""
        if state.is_world_process_zero:
            self.bar = self.progress.add_task(
                self.description, total=state.max_steps, completed=state.global_step
            )

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Advance."""
        if state.is_world_process_zero:
            told = "" if self.watched is None else self.watched.told
            described = f"{self.description}: {told}" if told else self.description
            self.progress.update(self.bar, completed=state.global_step, description=described)
