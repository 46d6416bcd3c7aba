"""Several processes train as one does; what goes wrong in one is told by the launcher."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mopo_pipeline.errors import InputError
from mopo_pipeline.launching.failures import TrainingFailedError
from mopo_pipeline.launching.fit_checks import check_fit, plan_launch
from mopo_pipeline.launching.run import TrainingRun, prepare, train
from mopo_pipeline.parameters.fit import FitParams
from mopo_pipeline.parameters.lag import FreshLag
from tiny_training import FIT, tiny_model, tiny_run, with_fit

PROJECT = Path(__file__).parents[2]
SHIPPED = sorted((PROJECT / "conf/accelerate").glob("*.yaml"))
DATA_PARALLEL = "distributed_type: MULTI_GPU\nnum_processes: {n}\nmixed_precision: 'no'\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def run(model: Path) -> TrainingRun:
    return tiny_run(model)


@pytest.fixture(scope="module")
def alone(run: TrainingRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run, tmp_path_factory.mktemp("alone")).directory


def weights(directory: Path) -> dict[str, np.ndarray]:
    [file] = directory.glob("*.safetensors")
    return load_file(file)


def largest_difference(one: Path, two: Path) -> float:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def losses(final: Path) -> list[float]:
    history = json.loads((final.parent / "log.json").read_text())["history"]
    return [step["weighted_nll"] for step in history]


@pytest.mark.slow
def test_two_processes_take_the_trajectory_of_one(
    run: TrainingRun, alone: Path, tmp_path: Path
) -> None:
    result = train(with_fit(run, processes=2), tmp_path / "two")
    assert result.log["refreshes"].iloc[-1] == 2
    np.testing.assert_allclose(losses(result.directory), losses(alone), rtol=1e-4)
    logged = json.loads((alone.parent / "log.json").read_text())["history"]
    expected = [step["kl_to_reference"] for step in logged]
    np.testing.assert_allclose(result.log["kl_to_reference"], expected, atol=1e-4)
    assert largest_difference(alone, result.directory) < 1e-4


@pytest.mark.slow
def test_another_global_batch_takes_another_trajectory(
    run: TrainingRun, alone: Path, tmp_path: Path
) -> None:
    """Negative control of the comparisons with one process."""
    result = train(with_fit(run, batch_size=4), tmp_path)
    assert largest_difference(alone, result.directory) > 0.01


@pytest.mark.slow
def test_two_processes_draw_and_judge_the_fresh_responses_of_one(
    run: TrainingRun, tmp_path: Path
) -> None:
    assert run.problem is not None
    problem = replace(
        run.problem, objectives=("readability", "brevity"), thresholds=np.array([0.3])
    )
    lag = FreshLag(
        every=4,
        judge="text",
        fresh_prompts=8,
        fresh_responses=4,
        max_new_tokens=8,
    )
    fresh = replace(run, lag=lag, problem=problem)
    one = train(fresh, tmp_path / "one").directory
    two = train(with_fit(fresh, processes=2), tmp_path / "two").directory
    texts = [
        json.loads((d.parent / "checkpoint-8/fresh_rows.json").read_text()) for d in (one, two)
    ]
    assert texts[0] == texts[1]
    assert largest_difference(one, two) < 1e-4


@pytest.mark.slow
def test_a_model_sharded_by_fsdp2_is_saved_whole(
    run: TrainingRun, alone: Path, tmp_path: Path
) -> None:
    directory = prepare(run, tmp_path / "sharded")
    settings = {
        "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    }  # fmt: skip
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT / "tests")])
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(PROJECT / "tests/sharded_worker.py"),
            str(directory),
        ],
        env={**os.environ, **settings, "PYTHONPATH": path},
        check=True,
        timeout=240,
    )
    [shards] = directory.glob("checkpoint-8/pytorch_model_fsdp_0")
    assert len(list(shards.glob("*.distcp"))) == 2
    assert largest_difference(alone, directory / "final") < 1e-4


@pytest.mark.slow
def test_another_machine_joins_with_the_run_directory_alone(
    run: TrainingRun, alone: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "machines.yaml"
    file.write_text(
        DATA_PARALLEL.format(n=2)
        + f"num_machines: 2\nmain_process_ip: 127.0.0.1\nmain_process_port: {port}\n"
        "same_network: true\nrdzv_backend: static\n"
    )
    run = with_fit(run, accelerate=file)
    directory = prepare(run, tmp_path)
    (directory / "accelerate.yaml").write_text(file.read_text())
    other = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mopo_pipeline.language.launch",
            str(directory),
            "--machine-rank",
            "1",
        ],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    result = train(run, tmp_path)
    assert other.wait(60) == 0
    assert result.directory.parent == directory
    assert largest_difference(alone, result.directory) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "import pandas\ndef fail(*a, **k): raise OSError('rows are gone')\npandas.read_parquet = fail",
            "rank 1: OSError: rows are gone",
        ),
        ("import signal\nos.kill(os.getpid(), signal.SIGKILL)", "rank 1: exit code -9"),
    ],
    ids=["raises", "killed"],
)
def test_a_failing_process_is_named_with_its_error(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, expected: str
) -> None:
    start = "import os\nif os.environ.get('RANK') == '1':\n    "
    (tmp_path / "sitecustomize.py").write_text(start + fault.replace("\n", "\n    "))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TrainingFailedError) as caught:
        train(with_fit(run, processes=2), tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_shipped_launch_files_are_accelerate_configurations(file: Path) -> None:
    launch = plan_launch(FitParams(**FIT | {"accelerate": file}))
    machines, processes = (2, 16) if "2_nodes" in file.stem else (1, int(file.stem[0]))
    assert (launch.machines, launch.processes) == (machines, processes)
    assert plan_launch(FitParams(**FIT | {"accelerate": file, "dtype": "bfloat16"})) == launch


def test_launches_this_machine_cannot_do(tmp_path: Path) -> None:
    broken, sharded = tmp_path / "broken.yaml", tmp_path / "sharded.yaml"
    broken.write_text(DATA_PARALLEL.format(n=2) + "processes: 2\n")
    sharded.write_text("distributed_type: FSDP\nnum_processes: 2\n")
    halved = tmp_path / "halved.yaml"
    halved.write_text("distributed_type: MULTI_GPU\nnum_processes: 2\nmixed_precision: bf16\n")

    def refused(expected: str, **fit: object) -> None:
        with pytest.raises(InputError, match=expected):
            check_fit(FitParams(**FIT | fit), "train.fit", 40)

    cores = len(os.sched_getaffinity(0))
    refused(f"starts {8 * cores} processes .* has {cores} CPU cores", processes=8 * cores)
    refused("no such file; examples lie in conf/accelerate", accelerate=tmp_path / "absent.yaml")
    refused("no accelerate configuration.*processes", accelerate=broken)
    refused("says mixed_precision: bf16, but train.fit.dtype is float32", accelerate=halved)
    refused("asks for FSDP, which accelerate does on GPUs only", accelerate=sharded)
    refused("is 9 and cannot be divided evenly among 2", processes=2, batch_size=9)
    refused("batch_size is 41, but there are 40 rows", batch_size=41)
    refused("dtype is bfloat16, but this run is on the CPU", dtype="bfloat16")
