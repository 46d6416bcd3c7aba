"""Parameters of the synthetic experiment: preference structures and how hard they are tried."""

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.base import StrictModel

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=2)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class StructureParams(StrictModel):
    """Matrices of preference probabilities over n alternatives, and who made the data."""

    preferences: tuple[tuple[tuple[Probability, ...], ...], ...]
    behaviour: tuple[Probability, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        n = len(self.behaviour)
        if n < 2:
            raise ValueError(f"behaviour needs two alternatives at least, got {n}")
        if abs(sum(self.behaviour) - 1) > 1e-9:
            raise ValueError(f"behaviour must sum to 1, got {sum(self.behaviour):g}")
        if len(self.preferences) < 2:
            raise ValueError(
                f"preferences needs two matrices at least, got {len(self.preferences)}"
            )
        for k, matrix in enumerate(self.preferences):
            _check_matrix(k, matrix, n)
        return self


def _check_matrix(k: int, matrix: tuple[tuple[float, ...], ...], n: int) -> None:
    lengths = sorted({len(row) for row in matrix})
    if len(matrix) != n or lengths != [n]:
        raise ValueError(
            f"preferences: matrix {k} must be {n} x {n}, one row and column per behaviour entry, "
            f"got {len(matrix)} rows of length {' and '.join(map(str, lengths))}"
        )
    for i in range(n):
        for j in range(i + 1):
            if abs(matrix[i][j] + matrix[j][i] - 1) > 1e-9:
                raise ValueError(
                    f"preferences: matrix {k}: entries ({i}, {j}) and ({j}, {i}) must sum to 1, "
                    f"got {matrix[i][j]:g} and {matrix[j][i]:g}"
                )


class StochasticParams(StrictModel):
    """The published minibatch updates, held against the exact dual."""

    batch_sizes: tuple[PositiveInt, ...] = Field(default=(8, 32, 128), min_length=1)
    runs: PositiveInt = 5
    steps: PositiveInt = 4000
    record_every: PositiveInt = 100
    multiplier_step: PositiveFloat = 0.05
    policy_step: PositiveFloat = 0.05

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.record_every > self.steps:
            raise ValueError(
                f"record_every must not exceed steps, got {self.record_every} of {self.steps}"
            )
        return self


class SyntheticParams(StrictModel):
    """The sweeps on exact and sampled preferences, the replicates, the published updates."""

    structures: dict[Name, StructureParams] = Field(min_length=1)
    objectives: tuple[Count, ...] = Field(default=(2, 3), min_length=1)
    seed: int = Field(default=0, ge=0)
    tau: PositiveFloat = 0.08
    thresholds: PositiveInt = 4
    lag: PositiveInt = 1
    steps: PositiveInt = 150
    comparisons: tuple[Count, ...] = Field(default=(500, 2000, 8000), min_length=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1.0)
    confidences: tuple[Annotated[float, Field(ge=0.5, lt=1.0)], ...] = Field(
        default=(0.5, 0.8, 0.95), min_length=1
    )
    position: float = Field(default=0.1, ge=0.0, lt=1.0)
    replicates: PositiveInt = 200
    stochastic: StochasticParams = StochasticParams()

    @model_validator(mode="after")
    def _check(self) -> Self:
        most = max(len(structure.preferences) for structure in self.structures.values())
        if max(self.objectives) > most:
            raise ValueError(
                f"objectives asks for {max(self.objectives)}, but no structure has more than "
                f"{most} matrices"
            )
        for name, structure in self.structures.items():
            if min(self.objectives) > len(structure.preferences):
                raise ValueError(
                    f"structures.{name}.preferences holds {len(structure.preferences)} matrices, "
                    f"but objectives asks for {min(self.objectives)} at least"
                )
        return self
