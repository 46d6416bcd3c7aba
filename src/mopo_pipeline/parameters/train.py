"""Parameters of the train stage."""

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.lag import LagParams, NoLag


class LoopParams(StrictModel):
    """What is seen on validation prompts raises what is aimed at."""

    rounds: NonNegativeInt = 2
    prompts: PositiveInt | None = 512
    confidence: float = Field(default=0.95, ge=0.5, lt=1.0)


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference."""

    lora: LoraParams | None = None
    lag: LagParams = NoLag()
    loop: LoopParams = LoopParams()
    fit: FitParams
    work_dir: Path
