"""Parameters of the reference stage."""

from pathlib import Path
from typing import Self

from pydantic import PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.fit import FitParams, LoraParams


class ScratchParams(StrictModel):
    """A decoder trained from nothing on the task's own words."""

    layers: PositiveInt = 3
    width: PositiveInt = 128
    heads: PositiveInt = 4


class ReferenceParams(StrictModel):
    """The reference policy: trained on the data's responses, or a model as it is."""

    model: str = "scratch"
    train: bool = True
    scratch: ScratchParams = ScratchParams()
    lora: LoraParams | None = None
    context: PositiveInt | None = None
    fit: FitParams = FitParams()
    work_dir: Path

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model == "scratch" and not self.train:
            raise ValueError(
                "a reference from scratch must be trained: set reference.train to true or name a model"
            )
        return self
