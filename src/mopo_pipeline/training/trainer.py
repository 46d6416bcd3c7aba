"""Weighted policy extraction, equation (6), on ``transformers.Trainer``."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from mopo_pipeline.language.forward import hidden_size, response_logprobs
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.packing import pack, split_by_prompt
from mopo_pipeline.language.prompt_sharing import sharing_allowed
from mopo_pipeline.language.sealed import seal
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo import effective_share
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.mopo.schedule.lag import LagState
from mopo_pipeline.training.checkpoints import write_error
from mopo_pipeline.training.loss import merge_rows
from mopo_pipeline.training.row_schedule import RowSchedule, responses_together

STATE_FILE, FRESH_FILE = "mopo_state.safetensors", "fresh_rows.json"

FIRST = "first_logprob"

_WRITER = re.compile("PytorchStreamWriter|inline_container")
"""How torch.save says that it could not write."""


class Positions(torch.utils.data.Dataset):
    """Positions of the run, nothing more: what stands at one is decided when its step comes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: int) -> dict[str, int]:
        return {"position": position}


class WeightedTrainer(Trainer):
    """Minimise -E[weight * log pi(y|x)], log pi summed over response tokens.

    With ``resampling`` rows are drawn in proportion to their weight and every drawn row counts
    alike; with ``loss`` rows are drawn uniformly and the weight multiplies. Both have the same
    expected gradient; the loss is divided by the mean response length, so that its size does not
    depend on the task.

    Attributes:
        first_logprob: (N,) log pi of the data's rows under the model before its first step, in the
            precision it is trained in.
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
            train_dataset=Positions(steps * args.per_device_train_batch_size),
            data_collator=lambda items: {"position": torch.tensor([i["position"] for i in items])},
            processing_class=tokenizer,
        )
        self.rows, self.lag_state, self.schedule = rows, state, schedule
        self.first_logprob = state.initial_logprob
        self.sharing = sharing_allowed(model, rows)
        self.weighting, self.objectives = weighting, objectives
        self.fresh: dict[str, Any] | None = None
        self.rebuild: Any = None
        self.refresh_seconds, self.tokens = 0.0, 0
        self._divergence: list[torch.Tensor] = []
        self._since = time.perf_counter()
        self.remove_callback(PrinterCallback)
        self.take_rows(rows, state)

    def take_rows(self, rows: EncodedRows, state: LagState) -> None:
        """Train on these rows and weights from the next step on."""
        self.rows, self.lag_state = rows, state
        self.mean_length = float(rows.response_lengths.mean())
        weights = state.active.astype(float) if self.weighting == "loss" else state.weights
        together = 1
        if self.sharing:
            together = responses_together(
                rows.prompts,
                rows.prompt_lengths,
                rows.response_lengths,
                weights,
                self.schedule.batch_size,
            )
        self.schedule.reset(rows.lengths, weights, rows.prompts, together)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Mean weighted negative log-likelihood of the rows at these positions."""
        drawn = self.schedule.rows(inputs["position"].cpu().numpy())
        each = self.lag_state.weights[drawn] if self.weighting == "loss" else np.ones(len(drawn))
        chosen, weights = merge_rows(self.rows.representatives[drawn], each)
        hidden = hidden_size(model) if self.sharing else None
        pieces = split_by_prompt(self.rows, chosen, hidden)
        packed = pack(self.rows, pieces).to(self.args.device)
        order = np.concatenate(pieces)
        weight = torch.as_tensor(weights[np.searchsorted(chosen, order)], dtype=torch.float32)
        weight = weight.to(self.args.device)
        logprob = response_logprobs(model, packed)
        loss = -(weight * logprob).sum() / (len(drawn) * self.mean_length)
        if not torch.isfinite(loss):
            raise TrainingStoppedError(
                f"the loss became {loss.item()} at step {self.state.global_step}: lower the learning rate; the last "
                f"checkpoint is kept in {self.args.output_dir}"
            )
        self._watch(logprob.detach(), weight, order)
        self.tokens += packed.n_tokens
        return loss

    def _watch(self, logprob: torch.Tensor, weight: torch.Tensor, rows: NDArray[np.int64]) -> None:
        initial = torch.as_tensor(self.lag_state.initial_logprob[rows], dtype=torch.float32)
        gap = weight * (logprob - initial.to(logprob.device))
        self._divergence.append(gap.sum() / weight.sum().clamp_min(1e-12))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the method watches to every logged step."""
        if "loss" in logs:
            elapsed = time.perf_counter() - self._since
            state, constrained = self.lag_state, self.objectives[1:]
            logs["weighted_nll"] = logs.pop("loss")
            gap = float(torch.stack(self._divergence).double().mean())
            here = [gap, self.tokens * self.args.world_size]
            divergence, tokens = self.accelerator.reduce(
                torch.tensor(here, device=self.args.device, dtype=torch.float32), "mean"
            ).tolist()
            if np.isfinite(state.initial_logprob).all():
                logs["kl_to_reference"] = divergence
            logs["ess"] = effective_share(state.weights[state.active])
            logs["reference_ess"], logs["refreshes"] = state.ess, float(state.refreshes)
            logs["support"], logs["margin_share"] = state.support, state.margin_share
            for k, name in enumerate(constrained):
                logs |= {
                    f"multiplier_{name}": float(state.multipliers[k]),
                    f"threshold_{name}": float(state.thresholds[k]),
                    f"target_{name}": float(state.targets[k]),
                    f"bound_{name}": float(state.bounds[k]),
                }
            logs["tokens_per_second"], logs["seconds"] = tokens / max(elapsed, 1e-9), elapsed
            logs["refresh_seconds"] = self.refresh_seconds
            self._divergence, self.tokens, self._since = [], 0, time.perf_counter()
            self.refresh_seconds = 0.0
        super().log(logs, start_time)

    def refreshing(self, act: Callable[[], None]) -> None:
        """Run a refresh and count its time."""
        start = time.perf_counter()
        act()
        self.refresh_seconds += time.perf_counter() - start

    def logprobs_now(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Log pi of the rows under the model as it is; of those not ``chosen`` what was known first."""
        model = self.accelerator.unwrap_model(self.model)
        description = "log-probabilities of the lagged reference"
        if chosen is None or chosen.all():
            return self.score(model, self.rows, description)
        full = self.lag_state.initial_logprob.copy()
        full[chosen] = self.score(model, self.rows.subset(np.flatnonzero(chosen)), description)
        return full

    def score(self, model: Any, rows: EncodedRows, description: str) -> NDArray[np.float64]:
        """Log pi of rows under a model, (n,), the work shared out over processes."""
        world, rank = self.args.world_size, self.args.process_index
        own = np.flatnonzero(rows.prompts % world == rank)
        full = torch.zeros(len(rows.ids), dtype=torch.float64)
        full[own] = torch.from_numpy(
            row_logprobs(
                model,
                rows.subset(own),
                sharing=self.sharing,
                description=description,
            )
        )
        if world > 1:
            full = full.to(self.args.device)
            torch.distributed.all_reduce(full)
        return full.cpu().numpy()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint and seal it; what a full disk cut short is removed."""
        target = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(target, ignore_errors=True)  # of a killed run, found damaged
        self.accelerator.wait_for_everyone()
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                seal(target)
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _WRITER.search(str(error)):
                raise
            raise write_error(target, error) from error

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            arrays = self.lag_state.arrays() | {FIRST: self.first_logprob}
            save_file(arrays, str(Path(output_dir) / STATE_FILE))
            if self.fresh is not None:
                (Path(output_dir) / FRESH_FILE).write_text(json.dumps(self.fresh), encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        arrays = load_file(str(Path(checkpoint) / STATE_FILE))
        self.first_logprob = arrays.pop(FIRST)
        state = LagState.from_arrays(arrays)
        rows = self.rows
        fresh = Path(checkpoint) / FRESH_FILE
        if fresh.is_file():
            self.fresh = json.loads(fresh.read_text(encoding="utf-8"))
            rows = self.rebuild(self.fresh)
        self.take_rows(rows, state)
