"""Parameters of the train stage."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.lag import LagParams, NoLag


class LoopParams(StrictModel):
    """What is seen on validation prompts raises what is aimed at."""

    rounds: NonNegativeInt = 2
    prompts: PositiveInt | None = 512
    confidence: float = Field(default=0.9, ge=0.5, lt=1.0)
    patience: PositiveInt | None = None
    candidates: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = (1.0,)
    checkpoints: NonNegativeInt = 0

    @field_validator("candidates")
    @classmethod
    def _with_policy(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if 1.0 not in shares:
            raise ValueError("names no 1, which is the policy itself: add it")
        return shares


_AT_REFRESHES = "remove it, the policy is looked at with every refresh (train.lag.every)"

IDLE = {
    "offline": {"rounds": _AT_REFRESHES},
    "fresh": {
        "rounds": _AT_REFRESHES,
        "prompts": "remove it, or set train.lag.validation_prompts",
    },
}
"""Keys of ``LoopParams`` without effect, by mode of the reference, and what to do instead."""


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference, or one that was trained elsewhere."""

    policy: Path | None = None
    lora: LoraParams | None = None
    start: Path | None = None
    lag: LagParams = NoLag()
    loop: LoopParams = LoopParams()
    fit: FitParams = FitParams()
    work_dir: Path

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.policy is not None and self.start is not None:
            raise ValueError(
                "policy takes a policy as it is and start begins training from one: give one of them"
            )
        return self
