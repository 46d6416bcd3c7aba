"""Whether and how the reference follows the policy: one group of parameters per mode."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.judges import ChatJudgeParams, JudgeName, needs_chat

FOR_PREFERENCE_MODEL = ("rows", "max_ratio")
"""Keys of ``FreshLag`` that say how the preference model's own error is measured."""


class WatchedParams(StrictModel):
    """What every mode takes."""

    max_multiplier: PositiveFloat = 100.0


class MovingParams(WatchedParams):
    """What every mode takes in which the reference moves."""

    every: PositiveInt = 100
    beta: float | None = Field(default=None, gt=0.0, le=1.0)
    rows: PositiveInt | None = None
    max_ratio: PositiveFloat = 20.0


class NoLag(WatchedParams):
    """The reference stays where it is."""

    mode: Literal["none"] = "none"


class OfflineLag(MovingParams):
    """The reference moves every ``every`` steps; the data's own rows are weighed anew."""

    mode: Literal["offline"] = "offline"
    min_ess: NonNegativeFloat = 0.05


class FreshLag(MovingParams):
    """The reference moves every ``every`` steps; fresh responses are drawn, judged and trained on."""

    mode: Literal["fresh"] = "fresh"
    judge: JudgeName = "preference_model"
    reward_models: dict[str, str] = {}
    chat: ChatJudgeParams | None = None
    fresh_prompts: PositiveInt = 192
    fresh_responses: PositiveInt = 16
    validation_prompts: NonNegativeInt = 64
    max_new_tokens: PositiveInt | None = None
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    support_quantile: float | None = Field(default=0.01, ge=0.0, lt=1.0)
    min_support: float = Field(default=0.5, ge=0.0, le=1.0)
    target_ess: float = Field(default=0.5, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reward_models and self.judge != "reward_models":
            raise ValueError(
                f"reward_models has no effect with judge {self.judge}: set judge to reward_models or remove them"
            )
        needs_chat(self.judge, self.chat)
        if self.judge == "preference_model":
            return self
        for name in FOR_PREFERENCE_MODEL:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} has no effect with judge {self.judge}: set judge to preference_model or remove it"
                )
        return self


MODES: dict[str, type[StrictModel]] = {"none": NoLag, "offline": OfflineLag, "fresh": FreshLag}


def mode_of(lag: Any) -> Any:
    """The mode that parameters, typed or as they are written, are of."""
    return lag.get("mode", "none") if isinstance(lag, Mapping) else getattr(lag, "mode", None)


LagParams = Annotated[
    Annotated[NoLag, Tag("none")]
    | Annotated[OfflineLag, Tag("offline")]
    | Annotated[FreshLag, Tag("fresh")],
    Discriminator(mode_of),
]
"""``mode`` says which; ``none`` where it is left out."""
