"""The executor that the parameters name, and whether it can serve."""

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from mopo_pipeline.errors import InputError
from mopo_pipeline.fronts.executors.base import Executor
from mopo_pipeline.fronts.executors.processes import Processes
from mopo_pipeline.fronts.executors.submitted import Submitted, submitit_executor
from mopo_pipeline.parameters.executor import ExecutorParams
from mopo_pipeline.parameters.front import FrontParams

WHERE = "front.executor"
COMMANDS = ("sbatch", "srun", "sacct", "scancel")
"""Of SLURM, that submitit calls."""

TIME = ("timeout_min", "_time")
"""Ends of submitit's names for how long a job may take."""


def chosen_executor(params: FrontParams) -> Executor:
    """Who carries out the runs of a sweep."""
    if params.executor.kind == "processes":
        return Processes(params.workers)
    return Submitted(params.executor, params.workers, params.data_root / "08_reporting" / "jobs")


def check_executor(params: ExecutorParams) -> None:
    """Refuse an executor that could not serve once the sweep got there.

    Raises:
        InputError: no submitit, no SLURM, or a parameter submitit does not know; says what to do.
    """
    if params.kind == "processes":
        return
    if find_spec("submitit") is None:
        raise InputError(
            f"{WHERE}.kind is submitit, which is not installed: pip install 'mopo_pipeline[slurm]', or leave it at processes"
        )
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if params.cluster == "slurm" and missing:
        raise InputError(
            f"{WHERE}.cluster is slurm, and this machine has no {', '.join(missing)}: start the sweep on a login node of the "
            f"cluster, try it here with {WHERE}.cluster=local, or leave {WHERE}.kind at processes"
        )
    if params.cluster != "debug" and not any(k.endswith(TIME) for k in params.submitit):
        raise InputError(
            f"{WHERE}.submitit says no timeout_min, the minutes of a job, and submitit's own are few: give them, such as "
            f"{WHERE}.submitit.timeout_min=720; a job that takes longer is requeued and goes on"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            submitit_executor(params, Path(folder))
        except (AssertionError, NameError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise InputError(f"{WHERE}.submitit does not suit submitit: {said}") from None
