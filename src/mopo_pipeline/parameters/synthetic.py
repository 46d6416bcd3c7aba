"""Parameters of the synthetic experiment: preference structures and how hard they are tried."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class StructureParams(StrictModel):
    """K matrices of preference probabilities over n alternatives and who made the data."""

    preferences: tuple[tuple[tuple[Probability, ...], ...], ...] = Field(min_length=2)
    behaviour: tuple[Probability, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        n = len(self.behaviour)
        for k, matrix in enumerate(self.preferences):
            if len(matrix) != n or any(len(row) != n for row in matrix):
                raise ValueError(f"matrix {k} must be {n} x {n}, one row per behaviour entry")
            for i in range(n):
                for j in range(i + 1):
                    if abs(matrix[i][j] + matrix[j][i] - 1) > 1e-9:
                        raise ValueError(
                            f"matrix {k}: entries ({i}, {j}) and ({j}, {i}) must sum to 1, got "
                            f"{matrix[i][j]} and {matrix[j][i]}"
                        )
        if abs(sum(self.behaviour) - 1) > 1e-9:
            raise ValueError(f"behaviour must sum to 1, got {sum(self.behaviour)}")
        return self


class SyntheticParams(StrictModel):
    """The sweep on exact preferences and the replicates on sampled ones."""

    structures: dict[str, StructureParams] = Field(min_length=1)
    seed: int = Field(default=0, ge=0)
    tau: float = Field(default=0.08, gt=0.0)
    thresholds: PositiveInt = 6
    lag: PositiveInt = 1
    steps: PositiveInt = 300
    comparisons: tuple[PositiveInt, ...] = (500, 2000, 8000)
    confidences: tuple[Annotated[float, Field(ge=0.5, lt=1.0)], ...] = (0.5, 0.8, 0.95)
    replicates: PositiveInt = 100
