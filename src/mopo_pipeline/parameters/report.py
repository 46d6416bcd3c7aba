"""Parameters of the report stage."""

from typing import Any

from pydantic import Field, NonNegativeInt

from mopo_pipeline.parameters.base import StrictModel


class RunFacts(StrictModel):
    """What a run tells its own page; filled in by the run.

    Attributes:
        started: UTC, ISO 8601.
        command: that would do the same again.
        changed: parameters by full name that are not at their defaults, those without a default included.
        model: the reference starts from.
        device: of this process.
        commit: of the project, with ``-dirty`` where files differ from it; None outside of a repository.
        stage_seconds: of each stage that the page rests on, its nodes as they were last run, without loading and saving.
        earlier: stages that earlier runs carried out, in whole or in part.
    """

    started: str
    command: str
    changed: dict[str, Any]
    model: str
    device: str
    commit: str | None
    stage_seconds: dict[str, float]
    earlier: tuple[str, ...] = ()


class ReportParams(StrictModel):
    """What the report shows and where it lies; the run itself fills in its environment, seconds, command, stages, whether a policy was there before, and facts."""

    title: str = "MOPO run"
    environment: str | None = None
    seconds: float | None = None
    command: str | None = None
    stages: tuple[str, ...] = ()
    trained: bool = False
    run: RunFacts | None = None
    path: str | None = None
    sample_prompts: NonNegativeInt = 6
    hypervolume_reference: float = Field(default=0.0, ge=0.0, lt=0.5)
