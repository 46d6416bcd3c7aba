"""Parameters of the train stage."""

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
from mopo_pipeline.parameters.fit import FitParams, LoraParams

JudgeName = Literal["preference_model", "reward_models", "pocket", "text"]


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
    validation_prompts: NonNegativeInt = 64
    max_new_tokens: PositiveInt | None = None
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    support_quantile: float | None = Field(default=0.01, ge=0.0, lt=1.0)
    min_support: float = Field(default=0.5, ge=0.0, le=1.0)
    target_ess: float = Field(default=0.5, ge=0.0, lt=1.0)
    min_ess: NonNegativeFloat = 0.05
    max_multiplier: PositiveFloat = 100.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.every is None and (self.on_policy or self.beta is not None):
            raise ValueError("on_policy and beta need a lag: set lag.every to a number of steps")
        return self


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference."""

    lora: LoraParams | None = None
    lag: LagParams = LagParams()
    fit: FitParams
    work_dir: Path
