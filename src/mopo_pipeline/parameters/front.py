"""Parameters of the front: where its points lie, how they are trained, what they are held against."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mopo_pipeline.parameters.ablation import Key, Name, Values
from mopo_pipeline.parameters.base import StrictModel, Threshold
from mopo_pipeline.parameters.baselines import HYPERPARAMETERS
from mopo_pipeline.parameters.executor import ExecutorParams

OURS = ("mopo", "mopo_interpolated")

COMPARED = ("reference", "primary_only", "steerable")
"""Methods that are no rivals of baselines."""

FOLDERS = ("rivals", "interpolated")
"""What else lies beside the folders of variants; a front of another seed lies in ``seed-<number>``."""

Estimator = Literal["auto", "judge", "labels"]
AUTO: Estimator = "auto"
JUDGE: Estimator = "judge"

TUNED = ("train.fit.", "train.lag", "train.loop.", "plan.tau", "plan.confidence")
"""Begins of the names of parameters that ours may be tuned over."""

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class SweepRun(StrictModel):
    """The run that sweeps, as its points repeat it; filled in by the run itself."""

    project: str
    conf_source: str
    environment: str | None = None
    params: dict[str, Any] = {}


class FrontParams(StrictModel):
    """A front of policies trained with thresholds, beside its rivals."""

    points: PositiveInt = 9
    reach: float = Field(default=0.6, gt=0.0, le=1.0)
    thresholds: tuple[dict[str, Threshold], ...] = ()
    share_of_steps: float | None = Field(default=0.4, gt=0.0, le=1.0)
    interpolated: tuple[Share, ...] = (0.5,)
    methods: tuple[str, ...] = ("reference", "primary_only")
    variants: dict[Name, dict[Key, Any]] = {}
    tuning: dict[Key, Values] = {}
    rivals: dict[str, dict[str, Any]] = {}
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    estimator: Estimator = AUTO
    hypervolume_reference: float = Field(default=0.25, ge=0.0, lt=0.5)
    kl_budget: PositiveFloat | None = None
    exact_points: NonNegativeInt = 101
    samples: NonNegativeInt = 3
    workers: PositiveInt | None = None
    executor: ExecutorParams = ExecutorParams()
    data_root: Path
    run: SweepRun | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if own := set(OURS).intersection(self.methods):
            raise ValueError(f"methods are rivals of mopo; leave out {sorted(own)}, always there")
        names = {*OURS, *COMPARED, *HYPERPARAMETERS, *FOLDERS, *(f"seed-{s}" for s in self.seeds)}
        if taken := names.intersection(self.variants):
            raise ValueError(f"a variant needs a name of its own, {sorted(taken)} is another's")
        if moved := [key for key in self.tuning if not key.startswith(TUNED)]:
            raise ValueError(
                f"tuning varies how a policy is made from the same data ({', '.join(TUNED)}); leave out {', '.join(moved)}"
            )
        return self

    @property
    def folder(self) -> Path:
        """Where the points' runs lie, a folder each."""
        return self.data_root / "front"
