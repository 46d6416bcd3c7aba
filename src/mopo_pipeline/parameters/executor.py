"""Parameters of the executor: where the whole runs of a sweep are carried out."""

from typing import Any, Literal

from mopo_pipeline.parameters.base import StrictModel


class ExecutorParams(StrictModel):
    """Processes of this machine, or jobs that submitit hands to a cluster under its own names for their parameters."""

    kind: Literal["processes", "submitit"] = "processes"
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    submitit: dict[str, Any] = {}
