"""Parameters of the report stage."""

from pydantic import Field, NonNegativeInt

from mopo_pipeline.parameters.base import StrictModel


class ReportParams(StrictModel):
    """What the report shows and where it lies; the run itself fills in its environment, seconds, command and pipelines."""

    title: str = "MOPO run"
    environment: str | None = None
    seconds: float | None = None
    command: str | None = None
    pipelines: tuple[str, ...] = ()
    path: str | None = None
    sample_prompts: NonNegativeInt = 6
    hypervolume_reference: float = Field(default=0.0, ge=0.0, lt=0.5)
