"""Parameters of the train stage."""

from pathlib import Path

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.fit import FitParams, LoraParams
from mopo_pipeline.parameters.lag import LagParams, NoLag


class TrainParams(StrictModel):
    """The policy: weighted policy extraction from the reference."""

    lora: LoraParams | None = None
    lag: LagParams = NoLag()
    fit: FitParams
    work_dir: Path
