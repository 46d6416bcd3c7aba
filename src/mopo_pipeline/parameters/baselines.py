"""Parameters of the rivals; each stands with its default here and its reason on its page of docs/rivals."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mopo_pipeline.parameters.base import StrictModel

Weights = tuple[NonNegativeFloat, ...]


class SweptParams(StrictModel):
    """A rival that is swept over weights: those given, or a lattice of the simplex."""

    weights: tuple[Weights, ...] | None = None
    divisions: PositiveInt = 3


class PairRivalParams(SweptParams):
    """A rival trained on pairs, with DPO's temperature."""

    learning_rate: PositiveFloat = 1e-3
    beta: PositiveFloat = 0.3


class SoupParams(PairRivalParams):
    """Rewarded soups: what is averaged."""

    merge: Literal["weights", "factors"] = "weights"


class RacoParams(PairRivalParams):
    """RACO: how far the update may leave the weighted gradient, and whether coefficients are clipped."""

    conflict: float = Field(default=0.4, ge=0.0, lt=1.0)
    clip: bool = True


class AmopoParams(SweptParams):
    """AMoPO: no reference, log-probabilities per token, a margin."""

    learning_rate: PositiveFloat = 1e-3
    beta: PositiveFloat = 2.0
    margin: NonNegativeFloat = 0.0


class BestOfNParams(SweptParams):
    """Best of n: the answers drawn for one that is given."""

    n: PositiveInt = 16


class InContextParams(SweptParams):
    """Rewards in context: levels a score is told in, and rounds on the policy's own answers."""

    learning_rate: PositiveFloat = 2e-3
    levels: Annotated[int, Field(ge=2)] = 8
    rounds: int = Field(default=1, ge=0)
    prompts: PositiveInt = 192
    answers: PositiveInt = 8
    quantile: float = Field(default=0.7, ge=0.0, lt=1.0)


class LagrangianParams(StrictModel):
    """A policy gradient under thresholds on mean win rates."""

    thresholds: tuple[dict[str, float], ...]
    learning_rate: PositiveFloat = 1e-4
    beta: NonNegativeFloat = 0.1
    multiplier_rate: PositiveFloat = 1.0
    answers: Annotated[int, Field(ge=2)] = 8


class TuningParams(StrictModel):
    """The grid every rival is tuned over, one training at even weights for each."""

    learning_rates: tuple[PositiveFloat, ...] = Field(default=(5e-4, 2e-3), min_length=1)
    betas: tuple[PositiveFloat, ...] = Field(default=(0.1, 0.3, 1.0), min_length=1)
