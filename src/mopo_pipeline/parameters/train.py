"""Parameters of the train stage."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.lag import LagParams, NoLag


class LoopParams(StrictModel):
    """What is seen on validation prompts raises what is aimed at."""

    rounds: NonNegativeInt = 2
    prompts: PositiveInt | None = 512
    confidence: float = Field(default=0.95, ge=0.5, lt=1.0)
    candidates: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = (1.0,)

    @field_validator("candidates")
    @classmethod
    def _with_policy(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if 1.0 not in shares:
            raise ValueError("names no 1, which is the policy itself: add it")
        return shares


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference."""

    lora: LoraParams | None = None
    start: Path | None = None
    lag: LagParams = NoLag()
    loop: LoopParams = LoopParams()
    fit: FitParams
    work_dir: Path
