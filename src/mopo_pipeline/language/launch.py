"""Start a run's training processes: one in this process, more through ``accelerate launch``.

Kedro runs once. It writes the run directory and starts processes that read it; they know nothing of
Kedro and leave their result, or the error that stopped them, in the directory.
"""

import argparse
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.parameters.train import FitParams

if TYPE_CHECKING:
    from accelerate.commands.config.config_args import ClusterConfig

log = logging.getLogger(__name__)

LAUNCH_FILE, ERRORS = "accelerate.yaml", "errors"
DATA_PARALLEL = "MULTI_GPU"
"""What accelerate calls data parallel; on a machine without a GPU it runs over gloo."""


END_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A killed Kedro run takes its processes with it: PR_SET_PDEATHSIG, then the program itself."""


class TrainingFailedError(MopoError, RuntimeError):
    """A training process died; its traceback stands above."""


class Launch(NamedTuple):
    """Who trains: processes in all, machines they are spread over, and how the model is shared.

    ``kind`` is accelerate's distributed type: ``NO``, ``MULTI_GPU``, ``FSDP`` or ``DEEPSPEED``.
    """

    processes: int
    machines: int
    kind: str


def check_fit(fit: FitParams, where: str, n_rows: int) -> Launch:
    """Find what would stop a training run before it costs anything; says how it is to be launched.

    Args:
        fit: its parameters.
        where: what they are called, such as ``train.fit``.
        n_rows: rows to train on.

    Raises:
        InputError: a batch larger than the data or not to be shared out, bfloat16 on the CPU, no such
            launch file, or a launch this machine cannot do.
    """
    import torch

    if fit.batch_size > n_rows:
        raise InputError(
            f"{where}.batch_size is {fit.batch_size}, but there are {n_rows} rows to train on: lower it"
        )
    gpus = torch.cuda.device_count() if fit.device == "auto" else 0
    if fit.dtype == "bfloat16" and not gpus:
        raise InputError(
            f"{where}.dtype is bfloat16, but this run is on the CPU, where it is slower than float32 and less exact: "
            f"set {where}.dtype to float32"
        )
    launch = plan_launch(fit, where)
    _check_devices(launch, fit, where, gpus)
    if fit.batch_size % launch.processes:
        raise InputError(
            f"{where}.batch_size is {fit.batch_size} and cannot be shared out evenly among {launch.processes} processes"
        )
    return launch


def plan_launch(fit: FitParams, where: str = "fit") -> Launch:
    """Read ``fit.accelerate``, or take ``fit.processes`` data-parallel processes on this machine.

    Raises:
        InputError: no such file, or not an accelerate configuration.
    """
    if fit.accelerate is None:
        return Launch(fit.processes, 1, "NO" if fit.processes == 1 else DATA_PARALLEL)
    if not fit.accelerate.is_file():
        raise InputError(
            f"{where}.accelerate is {fit.accelerate}: no such file; examples lie in conf/accelerate"
        )
    config = _read(fit.accelerate)
    return Launch(config.num_processes, config.num_machines, str(config.distributed_type.value))


def _read(path: Path) -> "ClusterConfig":
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        config = load_config_from_file(str(path))
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no accelerate configuration: {first_line(error)}") from error
    if config.num_processes < 1 or config.num_processes % config.num_machines:
        raise InputError(
            f"{path}: num_processes {config.num_processes} must be a positive multiple of num_machines "
            f"{config.num_machines}"
        )
    if config.num_machines > 1 and not (config.main_process_ip and config.main_process_port):
        raise InputError(
            f"{path}: {config.num_machines} machines need main_process_ip and main_process_port, the address of the "
            "machine that runs kedro"
        )
    return config


def _check_devices(launch: Launch, fit: FitParams, where: str, gpus: int) -> None:
    here = launch.processes // launch.machines
    devices = gpus or len(os.sched_getaffinity(0))
    if here > devices:
        kind = "GPUs" if gpus else "CPU cores and no GPU"
        raise InputError(
            f"{where} starts {here} processes on this machine, but it has {devices} {kind}"
        )
    if not gpus and launch.kind not in {"NO", DATA_PARALLEL}:
        raise InputError(
            f"{fit.accelerate} asks for {launch.kind}, which accelerate does on GPUs only, and there is none here: set "
            f"{where}.processes instead of {where}.accelerate"
        )


def run_processes(directory: Path, fit: FitParams, launch: Launch) -> None:
    """Train in ``directory``; returns when the run is complete.

    Raises:
        TrainingFailedError: a process failed; names rank and error.
    """
    if launch.processes == 1:
        from mopo_pipeline.language.worker import main

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
    """Start this machine's share of a run's processes and wait for them.

    Raises:
        TrainingFailedError: a process failed; names rank and error.
    """
    errors = directory / ERRORS
    if rank == 0:
        errors.mkdir(exist_ok=True)
        for old in errors.glob("*.json"):
            old.unlink()
    config = _read(directory / LAUNCH_FILE)
    command = [
        sys.executable, "-c", END_WITH_PARENT, "-m", "accelerate.commands.launch",
        "--config_file", str(directory / LAUNCH_FILE), "--machine_rank", str(rank),
    ]  # fmt: skip
    if config.num_machines == 1:
        command += ["--main_process_port", "0"]
    command += ["-m", "mopo_pipeline.language.worker", str(directory)]
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
            f"training {directory.name} failed on {_first_failure(errors, tail)}; its checkpoints are kept and the "
            "next run resumes"
        )


def record_failure(directory: Path, rank: int, error: BaseException) -> None:
    """Leave a process's error where the launcher finds it."""
    kind = "" if isinstance(error, MopoError) else f"{type(error).__name__}: "
    text = kind + first_line(error)
    (directory / ERRORS).mkdir(exist_ok=True)
    (directory / ERRORS / f"rank-{rank}.json").write_text(
        json.dumps({"rank": rank, "time": time.time(), "error": text}), encoding="utf-8"
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _first_failure(errors: Path, tail: str) -> str:
    """Rank and error of what failed first: others fail because it did."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in errors.glob("rank-*.json")]
    if found:
        first = min(found, key=lambda failure: failure["time"])
        return f"rank {first['rank']}: {first['error']}"
    summary = tail[tail.find("Root Cause") :]
    rank = re.search(r"rank\s*: (\d+)", summary)
    code = re.search(r"exitcode\s*: (-?\d+)", summary)
    if rank and code:
        killed = " (killed, perhaps for memory)" if int(code[1]) == -9 else ""
        return f"rank {rank[1]}: exit code {code[1]}{killed}"
    return "an unknown rank: see the messages above"


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
                "mixed_precision": "bf16" if fit.dtype == "bfloat16" else "no",
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
