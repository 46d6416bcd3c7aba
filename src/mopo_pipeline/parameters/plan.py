"""Parameters of the plan: temperature, confidence, normaliser, thresholds."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from mopo_pipeline.parameters.base import StrictModel, Threshold


class PlanParams(StrictModel):
    """How the constrained problem is posed and solved before anything is trained."""

    tau: PositiveFloat
    confidence: float = Field(default=0.95, ge=0.5, lt=1.0)
    epsilon: float | None = Field(default=None, ge=0.0)
    normalisation: Literal["per_prompt", "pooled", "shrunk"] = "shrunk"
    kappa: float | None = Field(default=None, ge=0.0)
    variant: Literal["lagrangian", "log_barrier"] = "lagrangian"
    thresholds: dict[str, Threshold] = {}
    margins: dict[str, Annotated[float, Field(ge=0.0, lt=1.0)]] = {}

    @model_validator(mode="after")
    def _one_assurance(self) -> Self:
        if (
            self.epsilon is not None
            and self.confidence != type(self).model_fields["confidence"].default
        ):
            raise ValueError(
                f"epsilon {self.epsilon:g} stands in place of a confidence, and confidence is {self.confidence:g}: leave one out"
            )
        return self
