"""Parameters of one training run, of the reference or the policy."""

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel

FIT_WITHOUT_EFFECT = frozenset(
    {
        "save_every",
        "log_every",
        "processes",
        "accelerate",
        "device",
        "gradient_checkpointing",
        "report_to",
    }
)
"""Keys of ``FitParams`` that say where and how a run is computed; results agree up to rounding."""


Tracker = Literal["tensorboard", "mlflow", "wandb", "trackio"]


class LoraParams(StrictModel):
    """Low-rank adapters on a frozen base, which may be held in 4 bits (QLoRA)."""

    r: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    load_in_4bit: bool = False


MOST_LOGGED, SAVED_LOGS = 20, 10
"""Log lines a short run has at least, and logged steps between two of its checkpoints."""


class FitParams(StrictModel):
    """One training run: length, batch, optimiser, device.

    ``steps`` counts where it is given, ``epochs`` of the rows otherwise.
    """

    steps: PositiveInt | None = None
    epochs: PositiveFloat = 2.0
    batch_size: PositiveInt = 16
    accumulation: PositiveInt = 1
    learning_rate: PositiveFloat = 3e-4
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup_share: float = Field(default=0.05, ge=0.0, lt=1.0)
    weight_decay: NonNegativeFloat = 0.01
    max_gradient_norm: PositiveFloat = 1.0
    weighting: Literal["resampling", "loss"] = "resampling"
    log_every: PositiveInt = 20
    save_every: PositiveInt = 200
    device: Literal["auto", "cpu"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    processes: PositiveInt = 1
    accelerate: Path | None = None
    report_to: tuple[Tracker, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accelerate is not None and self.processes > 1:
            raise ValueError(
                "give fit.processes or fit.accelerate, not both: the file says how many processes it starts"
            )
        return self

    def over(self, rows: int) -> "FixedFit":
        """The same run on so many rows, its number of steps known.

        Where ``epochs`` sets it, what is not said follows: no batch larger than the rows, at least ``MOST_LOGGED`` log
        lines, and checkpoints.
        """
        plain = self.model_dump()
        if self.steps is not None:
            return FixedFit(**plain)
        said = self.model_fields_set
        if "batch_size" not in said:
            plain["batch_size"] = max(1, min(self.batch_size, rows))
        steps = max(1, math.ceil(self.epochs * rows / (plain["batch_size"] * self.accumulation)))
        if "log_every" not in said:
            plain["log_every"] = max(1, min(self.log_every, steps // MOST_LOGGED))
        if "save_every" not in said:
            plain["save_every"] = min(self.save_every, SAVED_LOGS * plain["log_every"])
        return FixedFit(**plain | {"steps": steps})


class FixedFit(FitParams):
    """A training run whose number of steps is known."""

    steps: PositiveInt
