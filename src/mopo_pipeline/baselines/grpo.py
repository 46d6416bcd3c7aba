"""TRL's ``GRPOTrainer`` with multipliers for reward weights, moved after every step."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from datasets import Dataset
from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.best_of_n import judge_of
from mopo_pipeline.baselines.multipliers import NAME, WinRates, next_multipliers
from mopo_pipeline.baselines.pair_trainer import arguments
from mopo_pipeline.baselines.setting import Setting
from mopo_pipeline.baselines.trained import DivergedError
from mopo_pipeline.language.adapters import add_adapter
from mopo_pipeline.language.lengths import encode_all, typical_longest
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.parameters.baselines import LagrangianParams
from mopo_pipeline.policies.valued import Budget
from mopo_pipeline.progress import progress_bar
from mopo_pipeline.tables import chat_messages
from mopo_pipeline.training.callbacks import ProgressCallback

NO_DRAW = "probability tensor contains"
"""What torch says where a model's probabilities are no numbers."""


class FreshTrainer(GRPOTrainer):
    """GRPO that tells nobody what it trains, and stops where its loss is no number."""

    def _send_telemetry(self) -> None:
        """Nobody is told what is trained here."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        """The loss () of a batch.

        Raises:
            DivergedError: it is not finite.
        """
        grpo: Any = super()
        loss = grpo._compute_loss(model, inputs)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss.item()} at step {self.state.global_step}", Budget()
            )
        return loss


class Multipliers(TrainerCallback):
    """Moves the multipliers by what the last batch attained, and weighs the rewards with them.

    Attributes:
        values: (K-1,) multipliers now.
        history: of every step.
    """

    def __init__(
        self, trainer: FreshTrainer, rates: WinRates, thresholds: Array, rate: float
    ) -> None:
        self.trainer, self.rates, self.thresholds, self.rate = trainer, rates, thresholds, rate
        self.values = np.zeros_like(thresholds)
        self.history: list[list[float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """One projected step."""
        attained = self.rates.last.mean(axis=0)[1:]
        self.values = next_multipliers(self.values, self.thresholds, attained, self.rate)
        weights = np.concatenate([[1.0], self.values]) / (1.0 + self.values.sum())
        self.trainer.reward_weights = torch.tensor(weights, dtype=torch.float32)
        self.history.append(self.values.tolist())


def fit_grpo(setting: Setting, params: LagrangianParams, thresholds: Array, target: Path) -> Budget:
    """Train the reference on its own answers under thresholds (K-1,) and write it to ``target``.

    Raises:
        DivergedError: the loss or a weight became something else than a number.
    """
    trainer, rates = grpo_trainer(setting, params, target.parent)
    multipliers = Multipliers(trainer, rates, thresholds, params.multiplier_rate)
    trainer.add_callback(multipliers)
    size = setting.fit.batch_size * setting.fit.accumulation
    with progress_bar() as progress, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
        )
        trainer.add_callback(ProgressCallback(progress, NAME))
        try:
            trainer.train()
        except RuntimeError as error:
            said = reason(error, trainer.state.global_step)
            if not said:
                raise
            raise DivergedError(said, spent_by(trainer, rates, size)) from error
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    spent = spent_by(trainer, rates, size)
    if not all(torch.isfinite(p).all() for p in trained.parameters()):
        raise DivergedError(f"a weight is no number after {trainer.state.global_step} steps", spent)
    chosen = {} if setting.lora is None else {"selected_adapters": ["default"]}
    trained.save_pretrained(target, **chosen)
    tokenizer: Any = trainer.processing_class
    tokenizer.save_pretrained(target)
    return spent


def reason(error: RuntimeError, step: int) -> str:
    """Why a training of words that cannot be drawn any more diverged; empty where it was something else."""
    if isinstance(error, DivergedError):
        return str(error)
    return f"no word could be drawn after step {step}: {error}" if NO_DRAW in str(error) else ""


def spent_by(trainer: FreshTrainer, rates: WinRates, size: int) -> Budget:
    """What a training has cost so far; ``size`` sequences a step."""
    return Budget(trainer.state.global_step * size, rates.tokens, rates.judged)


def grpo_trainer(
    setting: Setting, params: LagrangianParams, work: Path
) -> tuple[FreshTrainer, WinRates]:
    """The trainer, ready, and the win rates it is rewarded with."""
    model, tokenizer = load_model(setting.reference.resolve(), device="cpu")
    train = setting.responses.loc[setting.responses["split"] == "train"]
    if setting.lora is not None:
        model = add_adapter(model, setting.lora, setting.seed)
    opponents = train.groupby("prompt")["response"].agg(list).to_dict()
    rates = WinRates(judge_of(setting, NAME), {str(p): list(t) for p, t in opponents.items()})
    longest = typical_longest(encode_all(tokenizer, train).response_lengths)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`gradient_checkpointing` is deprecated", FutureWarning)
        args = GRPOConfig(
            **arguments(setting, params.learning_rate, work),
            per_device_train_batch_size=setting.fit.batch_size,
            num_generations=params.answers,
            max_completion_length=longest,
            beta=params.beta,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
        )
    prompts = list(rates.opponents)
    rewards: list[Any] = [rates.of(k) for k in range(len(setting.objectives))]
    trainer = FreshTrainer(
        model=model,
        args=args,
        reward_funcs=rewards,
        train_dataset=Dataset.from_dict(
            {"prompt": [chat_messages(p) for p in prompts], "stored": prompts}
        ),
        processing_class=tokenizer,
    )
    trainer.reward_weights = torch.tensor([1.0] + [0.0] * (len(setting.objectives) - 1))
    trainer.remove_callback(PrinterCallback)
    return trainer, rates
