"""What draws answers: transformers here, vLLM on a GPU or on a Ray cluster, or whoever serves a model behind an address."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.endpoint import bare_address

VLLM, RAY, ENDPOINT = "vllm", "ray", "endpoint"

FOR = {
    "gpus": (VLLM, RAY),
    "gpu_memory": (VLLM, RAY),
    "address": (RAY,),
    "replicas": (RAY,),
    "base_url": (ENDPOINT,),
    "served": (ENDPOINT,),
    "served_reference": (ENDPOINT,),
    "key_variable": (ENDPOINT,),
    "at_once": (ENDPOINT,),
    "retries": (ENDPOINT,),
    "timeout": (ENDPOINT,),
    "work_dir": (RAY, ENDPOINT),
}
"""Keys that some kinds alone take."""


class EngineParams(StrictModel):
    """An engine of one ``kind`` and what that takes.

    Log-probabilities never come from it: they are those of the model as it is trained here.
    """

    kind: Literal["transformers", "vllm", "ray", "endpoint"] = "transformers"
    gpus: PositiveInt = 1
    gpu_memory: float = Field(default=0.9, gt=0.0, le=1.0)
    address: str | None = None
    replicas: PositiveInt = 1
    base_url: str | None = None
    served: str | None = None
    served_reference: str | None = None
    key_variable: str | None = None
    at_once: PositiveInt = 8
    retries: int = Field(default=5, ge=0)
    timeout: PositiveFloat = 120.0
    work_dir: Path | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, kinds in FOR.items():
            default = type(self).model_fields[name].default
            if self.kind not in kinds and getattr(self, name) != default:
                raise ValueError(
                    f"{name} has no effect with kind {self.kind}: set kind to {' or '.join(kinds)} or remove it"
                )
        if self.kind == ENDPOINT:
            for name in ("base_url", "served"):
                if getattr(self, name) is None:
                    raise ValueError(f"an engine of kind endpoint needs {name}")
            try:
                bare_address(str(self.base_url))
            except ValueError as error:
                raise ValueError(f"base_url {error}") from None
        return self
