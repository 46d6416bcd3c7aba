"""Parameters of the reference and train stages."""

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from mopo_pipeline.parameters.base import StrictModel

FIT_WITHOUT_EFFECT = frozenset(
    {"save_every", "log_every", "processes", "accelerate", "device", "gradient_checkpointing"}
)
"""Keys of ``FitParams`` that say where and how a run is computed; results agree up to rounding."""

JudgeName = Literal["preference_model", "reward_models", "pocket", "text"]


class ScratchParams(StrictModel):
    """A decoder trained from nothing on the task's own words."""

    layers: PositiveInt = 3
    width: PositiveInt = 128
    heads: PositiveInt = 4


class LoraParams(StrictModel):
    """Low-rank adapters on a frozen base."""

    r: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"


class FitParams(StrictModel):
    """One training run: length, batch, optimiser, device."""

    steps: PositiveInt
    batch_size: PositiveInt = 32
    accumulation: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-3
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accelerate is not None and self.processes > 1:
            raise ValueError(
                "give fit.processes or fit.accelerate, not both: the file says how many processes it starts"
            )
        return self


class LagParams(StrictModel):
    """How the reference follows the policy."""

    every: PositiveInt | None = None
    on_policy: bool = False
    judge: JudgeName = "preference_model"
    reward_models: dict[str, str] = {}
    beta: float | None = Field(default=None, gt=0.0, le=1.0)
    rows: PositiveInt | None = None
    max_ratio: PositiveFloat = 20.0
    fresh_prompts: PositiveInt = 128
    fresh_responses: PositiveInt = 8
    held_out_prompts: NonNegativeInt = 64
    max_new_tokens: PositiveInt | None = None
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    support_quantile: float | None = Field(default=0.001, ge=0.0, lt=1.0)
    target_ess: float = Field(default=0.5, ge=0.0, lt=1.0)
    min_ess: NonNegativeFloat = 0.05
    max_multiplier: PositiveFloat = 100.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.every is None and (self.on_policy or self.beta is not None):
            raise ValueError("on_policy and beta need a lag: set lag.every to a number of steps")
        return self


class ReferenceParams(StrictModel):
    """The reference policy: trained on the data's responses, or a model as it is."""

    model: str = "scratch"
    train: bool = True
    scratch: ScratchParams = ScratchParams()
    lora: LoraParams | None = None
    context: PositiveInt | None = None
    fit: FitParams
    work_dir: Path

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model == "scratch" and not self.train:
            raise ValueError(
                "a reference from scratch must be trained: set reference.train to true or name a model"
            )
        return self


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference."""

    lora: LoraParams | None = None
    lag: LagParams = LagParams()
    fit: FitParams
    work_dir: Path
