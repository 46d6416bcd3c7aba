"""Training on pairs by TRL's ``DPOTrainer``, on the very tokens this project encodes, with DPO's loss or a rival's."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers.trainer_callback import PrinterCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from datasets import Dataset
from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.baselines.trained import DivergedError
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.training.callbacks import ProgressCallback

SIDES = ("chosen", "rejected")
EXTRA = "extra_"
"""Prefix of a pair's further columns."""


class PairBatch(NamedTuple):
    """A batch of B pairs as a loss sees it, in the order given to the trainer.

    Attributes:
        first: (B,) log pi of the first responses, differentiable.
        second: (B,) of the second.
        reference_gap: (B,) log pi_ref of the first less that of the second.
        first_tokens: (B,) scored tokens.
        second_tokens: (B,) likewise.
        extra: the pairs' further columns, (B, ...) each.
    """

    first: torch.Tensor
    second: torch.Tensor
    reference_gap: torch.Tensor
    first_tokens: torch.Tensor
    second_tokens: torch.Tensor
    extra: Mapping[str, torch.Tensor]


PairLoss = Callable[[PairBatch, list[torch.Tensor]], torch.Tensor]
"""The loss () of a batch; also given the parameters that are trained."""


@dataclass(frozen=True)
class PairData:
    """What a training on pairs reads.

    Attributes:
        rows: n encoded responses.
        reference: (n,) their log pi_ref.
        first: (M,) row of each pair's first response, the chosen one where the loss is DPO's.
        second: (M,) row of the other.
        extra: further columns (M, ...) for a loss of one's own.
    """

    rows: EncodedRows
    reference: Array
    first: Index
    second: Index
    extra: Mapping[str, Array]

    @property
    def arrays(self) -> dict[str, Array]:
        """Everything in it as arrays (n, ...) by name."""
        prints = np.array(self.rows.fingerprints(), dtype="S24").view(np.uint8).astype(np.float64)
        return {
            "rows": prints,
            "first": self.first.astype(np.float64),
            "second": self.second.astype(np.float64),
            **self.extra,
        }


@dataclass(frozen=True)
class PairFit:
    """A rival's own part of a training.

    Attributes:
        name: what the progress bar says.
        beta: DPO's temperature.
        learning_rate: at its peak.
        loss: None is TRL's DPO.
    """

    name: str
    beta: float
    learning_rate: float
    loss: PairLoss | None


class PairTrainer(DPOTrainer):
    """DPO on rows that are encoded already, their reference log-probabilities known."""

    loss_of: PairLoss | None = None
    processed = 0
    train_dataset: Any
    _signature_columns: Any

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = list(self.train_dataset.column_names)

    def _send_telemetry(self) -> None:
        """Nobody is told what is trained here."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """The loss () of a batch; DPO's by TRL itself.

        Raises:
            DivergedError: it is not finite.
        """
        if self.loss_of is None:
            dpo: Any = super()
            loss = dpo._compute_loss(model, inputs, return_outputs)
        else:
            batch = self.batch_of(model, inputs)
            trained = [p for p in model.parameters() if p.requires_grad]
            loss = self.loss_of(batch, trained)
        self.processed += len(inputs["input_ids"])
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss.item()} at step {self.state.global_step}",
                Budget(sequences=self.processed),
            )
        return loss

    def batch_of(self, model: Any, inputs: dict[str, Any]) -> PairBatch:
        """Log-probabilities of a batch under the model, and what else is known of its pairs."""
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
        )
        first, second = outputs.log_probs.sum(dim=1).chunk(2)
        first_tokens, second_tokens = inputs["completion_mask"].sum(dim=1).chunk(2)
        gap = inputs["ref_chosen_logps"] - inputs["ref_rejected_logps"]
        extra = {k.removeprefix(EXTRA): v for k, v in inputs.items() if k.startswith(EXTRA)}
        return PairBatch(first, second, gap, first_tokens, second_tokens, extra)


class PairCollator(DataCollatorForPreference):
    """TRL's collator, further columns kept."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A padded batch of pairs, first responses before second ones."""
        batch: dict[str, Any] = super().torch_call(examples)
        for name in (n for n in examples[0] if n.startswith(EXTRA)):
            batch[name] = torch.tensor([example[name] for example in examples])
        return batch


def fit_pairs(setting: Setting, data: PairData, own: PairFit, target: Path) -> Budget:
    """Train the reference on pairs and write the model, or the adapter, to ``target``.

    Raises:
        DivergedError: fewer pairs than a batch holds, or the loss or a weight became something else than a number.
    """
    model, tokenizer = load_model(setting.reference.resolve(), device="cpu")
    if setting.lora is not None:
        model = add_adapter(model, setting.lora, setting.seed)
    with progress_bar() as progress:
        trainer = pair_trainer(setting, data, own, model, tokenizer, target.parent)
        trainer.add_callback(ProgressCallback(progress, own.name))
        trainer.train()
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    spent = Budget(sequences=trainer.processed)
    if not all(torch.isfinite(p).all() for p in trained.parameters()):
        raise DivergedError(f"a weight is no number after {trainer.state.global_step} steps", spent)
    chosen = {} if setting.lora is None else {"selected_adapters": ["default"]}
    trained.save_pretrained(target, **chosen)
    tokenizer.save_pretrained(target)
    return spent


def pair_trainer(
    setting: Setting, data: PairData, own: PairFit, model: Any, tokenizer: Any, work: Path
) -> PairTrainer:
    """The trainer, ready.

    Raises:
        DivergedError: fewer pairs than a batch holds.
    """
    size = max(1, setting.fit.batch_size // 2)
    if len(data.first) < size:
        raise DivergedError(
            f"{len(data.first)} pairs of the training split are decided, fewer than the {size} of a batch: lower "
            "train.fit.batch_size or add labels",
            Budget(),
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`gradient_checkpointing` is deprecated", FutureWarning)
        args = DPOConfig(
            **arguments(setting, own.learning_rate, work),
            per_device_train_batch_size=size,
            beta=own.beta,
            precompute_ref_log_probs=True,
            max_length=None,
            dataloader_drop_last=True,
        )
    trainer = PairTrainer(
        model=model,
        args=args,
        data_collator=PairCollator(pad_token_id=int(tokenizer.pad_token_id)),
        train_dataset=_dataset(data),
        processing_class=tokenizer,
    )
    trainer.loss_of = own.loss
    trainer.remove_callback(PrinterCallback)
    return trainer


def arguments(setting: Setting, learning_rate: float, work: Path) -> dict[str, Any]:
    """A training's parameters by the library's names, alike for every rival trained by TRL."""
    fit = setting.fit
    return {
        "output_dir": str(work),
        "max_steps": fit.steps,
        "gradient_accumulation_steps": fit.accumulation,
        "learning_rate": learning_rate,
        "lr_scheduler_type": fit.schedule,
        "warmup_steps": round(fit.warmup_share * fit.steps),
        "weight_decay": fit.weight_decay,
        "max_grad_norm": fit.max_gradient_norm,
        "logging_steps": fit.log_every,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "bf16": fit.dtype == "bfloat16",
        "gradient_checkpointing": fit.gradient_checkpointing,
        "use_cpu": fit.device == "cpu" or not torch.cuda.is_available(),
        "seed": setting.seed,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _dataset(data: PairData) -> Dataset:
    heads = data.rows.prompt_lengths
    columns: dict[str, Any] = {
        "prompt_ids": [data.rows.ids[i][: heads[i]] for i in data.first],
        **{
            f"{side}_ids": [data.rows.ids[i][heads[i] :] for i in rows]
            for side, rows in zip(SIDES, (data.first, data.second), strict=True)
        },
        "ref_chosen_logps": data.reference[data.first].tolist(),
        "ref_rejected_logps": data.reference[data.second].tolist(),
        **{f"{EXTRA}{name}": values.tolist() for name, values in data.extra.items()},
    }
    return Dataset.from_dict(columns)
