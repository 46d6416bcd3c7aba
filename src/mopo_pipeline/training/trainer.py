"""Weighted policy extraction, equation (6), on ``transformers.Trainer``."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.forward import hidden_size, response_logprobs
from mopo_pipeline.language.prompt_sharing import sharing_allowed
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.training.batches import Positions, RowSampler, collate, collate_positions
from mopo_pipeline.training.checkpoints import RunState
from mopo_pipeline.training.loss import weighted_nll
from mopo_pipeline.training.row_schedule import RowSchedule
from mopo_pipeline.training.scoring import logprobs_of_all
from mopo_pipeline.training.sealing import SEALING, SealingTrainer
from mopo_pipeline.training.step_log import StepLog

OVERRIDDEN = (*SEALING, "_load_optimizer_and_scheduler", "_save_optimizer_and_scheduler")
"""Private methods of ``transformers.Trainer`` replaced here or below; no promise of theirs holds them still."""


class WeightedTrainer(SealingTrainer):
    """Minimise -E[weight * log pi(y|x)], log pi summed over response tokens.

    Attributes:
        rows: (N,) encoded rows trained on.
        lag_state: their weights, the reference and thresholds in force.
        first_logprob: log pi of the data's rows under the model before its first step, in the precision
            it is trained in.
        fresh: prompts, responses, ended: what the policy drew and is trained on; None offline.
        rebuild: from ``fresh`` to encoded rows.
    """

    loss_is_scaled_for_ga = False

    def __init__(
        self,
        *,
        model: Any,
        args: TrainingArguments,
        rows: EncodedRows,
        state: LagState,
        schedule: RowSchedule,
        weighting: str,
        objectives: tuple[str, ...],
        tokenizer: Any,
    ) -> None:
        steps = args.max_steps * args.gradient_accumulation_steps * args.world_size
        super().__init__(
            model=model,
            args=args,
            processing_class=tokenizer,
            data_collator=collate_positions,
            train_dataset=Positions(steps * args.per_device_train_batch_size),
        )
        self.sharing = sharing_allowed(model, rows)
        self.sampler = RowSampler(schedule, weighting, self.sharing)
        self.watched = StepLog(objectives, args.world_size)
        self.first_logprob = state.initial_logprob
        self.first_validation: Array | None = None
        self.fresh: dict[str, Any] | None = None
        self.rebuild: Any = None
        self.remove_callback(PrinterCallback)
        self.take_rows(rows, state)

    def take_rows(self, rows: EncodedRows, state: LagState) -> None:
        """Train on these rows and weights from the next step on."""
        self.rows, self.lag_state = rows, state
        self.mean_length = float(rows.response_lengths.mean())
        self.sampler.take(rows, state)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Mean weighted negative log-likelihood, a scalar (), of the rows at these positions (batch,)."""
        drawn, counts = self.sampler.draw(inputs["position"])
        hidden = hidden_size(model) if self.sharing else None
        batch = collate(self.rows, drawn, counts, hidden, self.args.device)
        logprob = response_logprobs(model, batch.packed)
        loss = weighted_nll(logprob, batch.weight, self.mean_length).sum() / batch.draws
        if not torch.isfinite(loss):
            raise TrainingStoppedError(
                f"the loss became {loss.item()} at step {self.state.global_step}: lower the learning rate; the last "
                f"checkpoint is kept in {self.args.output_dir}"
            )
        self.watched.step(batch, logprob.detach(), self.lag_state.initial_logprob)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the method watches to every logged step."""
        if "loss" in logs:
            logs["weighted_nll"] = logs.pop("loss")
            logs |= self.watched.entries(
                self.lag_state, lambda here: self.accelerator.reduce(here, "mean"), self.args.device
            )
        super().log(logs, start_time)

    def logprobs_now(self, chosen: NDArray[np.bool_] | None = None) -> Array:
        """Log pi (N,) under the model as it is; of rows not ``chosen`` (N,) what was known first."""
        model = self.accelerator.unwrap_model(self.model)
        description = "log-probabilities of the lagged reference"
        if chosen is None or chosen.all():
            return self.score(model, self.rows, description)
        full = self.lag_state.initial_logprob.copy()
        full[chosen] = self.score(model, self.rows.subset(np.flatnonzero(chosen)), description)
        return full

    def score(self, model: Any, rows: EncodedRows, description: str) -> Array:
        """Log pi of rows under a model, (n,), each process scoring its prompts."""
        return logprobs_of_all(
            model, rows, self.args.device, sharing=self.sharing, description=description
        )

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            RunState(self.lag_state, self.first_logprob, self.fresh, self.first_validation).write(
                Path(output_dir)
            )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        kept = RunState.read(Path(checkpoint))
        self.first_logprob, self.fresh, rows = kept.first_logprob, kept.fresh, self.rows
        self.first_validation = kept.first_validation
        if kept.fresh is not None:
            rows = self.rebuild(kept.fresh)
        self.take_rows(rows, kept.lag)
