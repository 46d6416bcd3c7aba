"""A run killed at any moment goes on to the same weights, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from conftest import PROJECT, kedro

pytestmark = pytest.mark.slow
PARAMETERS = "train.lag.every=3,train.lag.min_ess=0,train.fit.steps=24,train.fit.save_every=4"
ONLY = ("--from-nodes=train_policy", "--to-nodes=train_policy")


def train(root: Path) -> bytes:
    done = kedro(*ONLY, f"--params={PARAMETERS}", data_root=root)
    assert done.returncode == 0, done.stderr
    return (root / "06_models/policy/model.safetensors").read_bytes()


def copy(tiny_run: Path, root: Path) -> Path:
    shutil.copytree(tiny_run, root)
    shutil.rmtree(root / "06_models/policy")
    return root


def checkpoints(root: Path) -> list[Path]:
    found = (root / "06_models/checkpoints").glob("policy-*/checkpoint-*")
    return sorted(found, key=lambda p: int(p.name.split("-")[1]))


def kill_after(root: Path, step: int) -> None:
    """Start training and SIGKILL it once a checkpoint of this step or later appears."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env=test", *ONLY,
         f"--params=data_root={root},{PARAMETERS}"],
        cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    before = set(checkpoints(root))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        new = [p for p in checkpoints(root) if p not in before]
        if any(int(p.name.split("-")[1]) >= step for p in new):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "06_models/policy").exists()


@pytest.fixture(scope="module")
def uninterrupted(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return train(copy(tiny_run, tmp_path_factory.mktemp("whole") / "data"))


@pytest.mark.parametrize("step", [4, 12])
def test_resumes_bit_exact(tiny_run: Path, tmp_path: Path, uninterrupted: bytes, step: int) -> None:
    root = copy(tiny_run, tmp_path / "data")
    kill_after(root, step)
    assert train(root) == uninterrupted


def test_a_half_written_checkpoint_is_skipped(
    tiny_run: Path, tmp_path: Path, uninterrupted: bytes
) -> None:
    root = copy(tiny_run, tmp_path / "data")
    kill_after(root, 12)
    last = [p for p in checkpoints(root) if not p.parent.joinpath("complete").exists()][-1]
    (last / "trainer_state.json").unlink(missing_ok=True)
    assert train(root) == uninterrupted


def test_without_the_optimiser_the_weights_differ(
    tiny_run: Path, tmp_path: Path, uninterrupted: bytes
) -> None:
    """Negative control: the comparison above can fail."""
    root = copy(tiny_run, tmp_path / "data")
    kill_after(root, 12)
    for checkpoint in checkpoints(root):
        (checkpoint / "optimizer.pt").unlink(missing_ok=True)
    done = kedro(*ONLY, f"--params={PARAMETERS}", data_root=root)
    policy = root / "06_models/policy/model.safetensors"
    assert done.returncode == 0, done.stderr
    assert policy.read_bytes() != uninterrupted


def test_policy_loads_in_plain_transformers(tiny_run: Path) -> None:
    code = (
        "import sys, transformers; from transformers import AutoModelForCausalLM as M, "
        "AutoTokenizer as T; m = M.from_pretrained(sys.argv[1]); t = T.from_pretrained(sys.argv[1]);"
        "print(m.num_parameters(), len(t), t.chat_template is not None)"
    )
    policy = tiny_run / "06_models/policy"
    done = subprocess.run(
        [sys.executable, "-c", code, str(policy)], capture_output=True, text=True, check=True
    )
    weights = load_file(policy / "model.safetensors")
    assert done.stdout.split()[0] == str(sum(v.size for v in weights.values()))
    assert done.stdout.split()[2] == "True"
    assert not [p for p in policy.rglob("*") if p.suffix in {".bin", ".pt", ".pkl"}]


def test_lora_policy_is_an_adapter_that_loads(tiny_run: Path, tmp_path: Path) -> None:
    root = copy(tiny_run, tmp_path / "data")
    lora = "train.lora.r=4,train.lora.alpha=8,train.lag.every=3,train.lag.min_ess=0"
    done = kedro("--from-nodes=train_policy", f"--params={lora}", data_root=root)
    assert done.returncode == 0, done.stderr
    assert (root / "06_models/policy/adapter_config.json").is_file()
    assert (root / "08_reporting/report.html").is_file()
