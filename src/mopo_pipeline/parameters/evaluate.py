"""Parameters of the evaluate stage: how much is sampled, who judges it, how sure the intervals are."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.engine import ENDPOINT, EngineParams
from mopo_pipeline.parameters.judges import ChatJudgeParams, ImportPath

BATCH_TOKENS = 8192
"""Padded tokens per scoring batch where nothing else is said."""


class SamplingParams(StrictModel):
    """Answers drawn from the reference and from the policy on test prompts."""

    prompts: PositiveInt | None = None
    samples: PositiveInt = 8
    max_new_tokens: PositiveInt | None = None
    temperature: PositiveFloat = 1.0
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    batch_size: PositiveInt = 64
    engine: EngineParams = EngineParams()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.engine.kind == ENDPOINT and self.engine.served_reference is None:
            raise ValueError(
                "an engine of kind endpoint needs served_reference too: the reference is asked beside the policy"
            )
        return self


class JudgeParams(StrictModel):
    """Who judges the sampled answers."""

    rules: Literal["auto", "pocket", "text", "none"] = "auto"
    preference_model: bool = True
    reward_models: dict[str, str] = {}
    chat: ChatJudgeParams | None = None
    own: ImportPath | None = None


class CapabilityParams(StrictModel):
    """What both models are asked beside the task: tasks of the evaluation harness, sets of prompts."""

    tasks: tuple[str, ...] = ()
    task_folder: Path | None = None
    limit: PositiveInt | None = None
    prompt_sets: dict[str, Path] = {}


class EvaluateParams(StrictModel):
    """The evaluate stage."""

    sampling: SamplingParams = SamplingParams()
    judges: JudgeParams = JudgeParams()
    capability: CapabilityParams = CapabilityParams()
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    bootstrap: PositiveInt = 2000
    max_ratio: PositiveFloat = 20.0
    batch_tokens: PositiveInt = BATCH_TOKENS
    front_points: NonNegativeInt = 15
