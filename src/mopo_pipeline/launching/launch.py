"""Start a run's training processes: one in this process, more through ``accelerate launch``.

Kedro runs once. It writes the run directory and starts processes that read it; they know nothing of
Kedro and leave their result, or the error that stopped them, in the directory.
"""

import argparse
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from mopo_pipeline.errors import MopoError
from mopo_pipeline.launching.failures import ERRORS, TrainingFailedError, first_failure
from mopo_pipeline.launching.fit_checks import PRECISIONS, Launch, read_launch_file
from mopo_pipeline.parameters.fit import FitParams

log = logging.getLogger(__name__)

LAUNCH_FILE = "accelerate.yaml"

END_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A killed Kedro run takes its processes with it: PR_SET_PDEATHSIG, then the program itself."""


def run_processes(directory: Path, fit: FitParams, launch: Launch) -> None:
    """Train in ``directory``; returns when the run is complete.

    Raises:
        TrainingFailedError: a process failed; names rank and error.
    """
    if launch.processes == 1:
        from mopo_pipeline.launching.worker import main

        main(directory)
        return
    _write_launch_file(directory, fit, launch)
    if launch.machines > 1:
        log.warning(
            "waiting for %d more machines; run on each, with its rank 1 to %d: %s",
            launch.machines - 1,
            launch.machines - 1,
            shlex.join([sys.executable, "-m", __name__, str(directory), "--machine-rank", "RANK"]),
        )
    log.info("starting %d training processes (%s)", launch.processes, launch.kind)
    start_machine(directory, 0)


def start_machine(directory: Path, rank: int) -> None:
    """Start the processes of a run that are this machine's and wait for them.

    Raises:
        TrainingFailedError: a process failed; names rank and error.
    """
    errors = directory / ERRORS
    if rank == 0:
        errors.mkdir(exist_ok=True)
        for old in errors.glob("*.json"):
            old.unlink()
    config = read_launch_file(directory / LAUNCH_FILE)
    command = [
        sys.executable,
        "-c",
        END_WITH_PARENT,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(directory / LAUNCH_FILE),
        "--machine_rank",
        str(rank),
    ]
    if config.num_machines == 1:
        command += ["--main_process_port", "0"]
    command += ["-m", "mopo_pipeline.launching.worker", str(directory)]
    source = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    tail = ""
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        tail = (tail + line)[-4000:]
    if process.wait():
        raise TrainingFailedError(
            f"training {directory.name} failed on {first_failure(errors, tail)}; its checkpoints are kept and the "
            "next run resumes"
        )


def _write_launch_file(directory: Path, fit: FitParams, launch: Launch) -> None:
    """The launch as a file of the run directory, so that other machines need only that."""
    if fit.accelerate is not None:
        text = fit.accelerate.read_text(encoding="utf-8")
    else:
        text = yaml.safe_dump(
            {
                "compute_environment": "LOCAL_MACHINE",
                "distributed_type": launch.kind,
                "num_processes": launch.processes,
                "num_machines": 1,
                "machine_rank": 0,
                "mixed_precision": PRECISIONS[fit.dtype],
            }
        )
    (directory / LAUNCH_FILE).write_text(text, encoding="utf-8")


def _join() -> None:
    parser = argparse.ArgumentParser(description="Join a run that another machine has started.")
    parser.add_argument("directory", type=Path, help="run directory, on storage all machines share")
    parser.add_argument("--machine-rank", type=int, required=True, help="1 to machines - 1")
    given = parser.parse_args()
    try:
        start_machine(given.directory, given.machine_rank)
    except MopoError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _join()
