"""What would stop a training run, found before it costs anything."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from mopo_pipeline.errors import InputError, first_line
from mopo_pipeline.language.loading import check_four_bits
from mopo_pipeline.parameters.fit import FitParams, LoraParams

if TYPE_CHECKING:
    from accelerate.commands.config.config_args import ClusterConfig

DATA_PARALLEL = "MULTI_GPU"
"""What accelerate calls data parallel; on a machine without a GPU it runs over gloo."""


PRECISIONS = {"float32": "no", "bfloat16": "bf16"}
"""What accelerate calls the precisions of ``fit.dtype``."""


class Launch(NamedTuple):
    """Who trains: processes in all, machines they are spread over, and how the model is split.

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
        InputError: a batch larger than the data or not to be divided, a tracker that is not installed, bfloat16 on the CPU, no such
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
    check_trackers(fit.report_to, where)
    launch = plan_launch(fit, where)
    _check_devices(launch, fit, where, gpus)
    if fit.batch_size % launch.processes:
        raise InputError(
            f"{where}.batch_size is {fit.batch_size} and cannot be divided evenly among {launch.processes} processes"
        )
    return launch


def check_quantised(lora: LoraParams | None, fit: FitParams, where: str) -> None:
    """Find what would stop a run whose base is held in 4 bits.

    Args:
        lora: its adapters; None has none.
        fit: its parameters.
        where: what they are called, such as ``train.fit``.

    Raises:
        InputError: no library, no GPU, or a model that processes hold a part of each.
    """
    import torch

    if lora is None or not lora.load_in_4bit:
        return
    group = where.partition(".")[0]
    check_four_bits()
    if fit.device == "cpu" or not torch.cuda.is_available():
        raise InputError(
            f"{group}.lora.load_in_4bit is for a GPU, and this run is on the CPU, where weights in 4 bits are slow: leave it "
            "out"
        )
    kind = plan_launch(fit, where).kind
    if kind not in {"NO", DATA_PARALLEL}:
        raise InputError(
            f"{group}.lora.load_in_4bit keeps a whole model on each GPU, but {fit.accelerate} asks for {kind}: take "
            f"conf/accelerate/8_gpus.yaml, or leave {group}.lora.load_in_4bit out"
        )


def check_trackers(trackers: Sequence[str], where: str) -> None:
    """Refuse a tracker that is not installed.

    Raises:
        InputError: names it, and the line that installs it.
    """
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    there = get_available_reporting_integrations()
    for name in trackers:
        if name not in there:
            raise InputError(
                f"{where}.report_to names {name}, which is not installed: pip install {name}, or remove it"
            )


def plan_launch(fit: FitParams, where: str = "fit") -> Launch:
    """Read ``fit.accelerate``, or take ``fit.processes`` data-parallel processes on this machine.

    Raises:
        InputError: no such file, not an accelerate configuration, or one of another precision.
    """
    if fit.accelerate is None:
        return Launch(fit.processes, 1, "NO" if fit.processes == 1 else DATA_PARALLEL)
    if not fit.accelerate.is_file():
        raise InputError(
            f"{where}.accelerate is {fit.accelerate}: no such file; examples lie in conf/accelerate"
        )
    config = read_launch_file(fit.accelerate)
    if config.mixed_precision not in {None, "no", PRECISIONS[fit.dtype]}:
        raise InputError(
            f"{fit.accelerate} says mixed_precision: {config.mixed_precision}, but {where}.dtype is {fit.dtype} and says the "
            "precision: remove the line, or set both alike"
        )
    return Launch(config.num_processes, config.num_machines, str(config.distributed_type.value))


def read_launch_file(path: Path) -> "ClusterConfig":
    """An accelerate configuration.

    Raises:
        InputError: not one, or processes that do not fit its machines.
    """
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
