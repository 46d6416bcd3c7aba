"""Parameters of the one policy for all thresholds."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mopo_pipeline.parameters.base import StrictModel, Threshold


class SteerableParams(StrictModel):
    """One policy that is told its multipliers, trained on a lattice of them."""

    points: PositiveInt = 25
    trainings: PositiveFloat = 1.5
    rounds: NonNegativeInt = 4
    answers: PositiveInt = 4
    confidence: float = Field(default=0.95, ge=0.5, lt=1.0)
    thresholds: dict[str, Threshold] = {}
