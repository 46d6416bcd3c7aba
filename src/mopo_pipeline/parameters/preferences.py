"""Parameters of the preferences stage: how labels become comparisons, and comparisons win rates."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel


class LabelParams(StrictModel):
    """Where labels come from and which pairs are kept."""

    origin: Literal["auto", "judgements", "ratings"] = "auto"
    tie_margin: NonNegativeFloat | dict[str, NonNegativeFloat] = 0.0
    max_pairs_per_prompt: PositiveInt = 200
    votes: Literal["mean", "majority"] = "mean"


class PreferenceModelParams(StrictModel):
    """The K-head Bradley-Terry model."""

    features: Literal["auto", "words", "encoder"] = "auto"
    encoder: str | None = None
    hidden: int = Field(default=0, ge=0)
    folds: int = Field(default=4, ge=2)
    epochs: PositiveInt = 60
    patience: PositiveInt = 5
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 1e-2
    max_words: PositiveInt = 4096
    max_length: PositiveInt = 512


class WinRateParams(StrictModel):
    """How win rates are estimated."""

    method: Literal["posterior", "preference_model", "empirical", "label"] = "posterior"
    label_folds: int = Field(default=4, ge=2)
    shrinkage: NonNegativeFloat = 2.0
    min_opponents: PositiveInt = 4
    cycles: Literal["none", "auto"] = "none"
    model: PreferenceModelParams = PreferenceModelParams()

    @model_validator(mode="after")
    def _cycles_need_the_model(self) -> Self:
        if self.cycles != "none" and self.method != "preference_model":
            raise ValueError(
                f"cycles: {self.cycles} needs method: preference_model; {self.method} rests on one reward per answer"
            )
        return self


class PreferencesParams(StrictModel):
    """The preferences stage."""

    labels: LabelParams = LabelParams()
    win_rates: WinRateParams = WinRateParams()
