"""A run killed at any moment goes on to the same weights, bit for bit."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.numpy import load_file

import mopo_pipeline.training.checkpoints as checkpoints_module
import mopo_pipeline.training.sealing as sealing_module
from conftest import PROJECT, kedro
from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.sealed import MANIFEST, seal
from mopo_pipeline.launching import worker
from mopo_pipeline.launching.run import prepare
from mopo_pipeline.launching.run import train as train_run
from mopo_pipeline.training import refresh_offline
from mopo_pipeline.training.checkpoints import WriteError, last_complete_checkpoint
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run

pytestmark = pytest.mark.slow
SHORT = "train.lag.every=3,train.fit.steps=24,train.fit.save_every=4"
OFFLINE = f"{SHORT},train.lag.mode=offline,train.lag.min_ess=0"
ON_POLICY = f"{SHORT},train.lag.mode=fresh,train.lag.support_quantile=null,train.lag.fresh_prompts=8,train.lag.max_new_tokens=8"
Left = tuple[bytes, list[dict[str, float]]]
ONLY = ("--from-nodes=train.train_policy", "--to-nodes=train.train_policy")


def train(root: Path) -> bytes:
    done = kedro(*ONLY, f"--params={ON_POLICY}", data_root=root)
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
        [
            sys.executable,
            "-m",
            "kedro",
            "run",
            "--env=test",
            *ONLY,
            f"--params=data_root={root},{ON_POLICY}",
        ],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "200"},
    )
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


def test_a_killed_kedro_run_that_draws_fresh_responses_resumes_bit_exact(
    tiny_run: Path, tmp_path: Path
) -> None:
    whole, killed = copy(tiny_run, tmp_path / "whole"), copy(tiny_run, tmp_path / "killed")
    kill_after(killed, 8)
    assert train(killed) == train(whole)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Fresh copies of one run directory, ready for a training process."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("runs")
    made = prepare(tiny_run_of(root), root / "made")

    def fresh() -> Path:
        target = Path(shutil.copytree(made, root / f"copy-{time.monotonic_ns()}"))
        return target

    return fresh


def tiny_run_of(root: Path) -> Any:
    return tiny_run(tiny_model(root / "model"), save_every=2, log_every=3)


@pytest.fixture(scope="module")
def whole(runs: Callable[[], Path]) -> Left:
    return finished(runs())


def finished(directory: Path) -> Left:
    """Weights, and what was logged but for the time it took; not every save is a step that would be logged anyway."""
    worker.main(directory)
    history = json.loads((directory / "log.json").read_text(encoding="utf-8"))["history"]
    logged = [{k: v for k, v in entry.items() if "second" not in k} for entry in history]
    return (directory / "final/model.safetensors").read_bytes(), logged


def in_a_process(directory: Path, prepare: Callable[[], None], seconds: float = 60.0) -> int:
    """Train in a forked process; SIGKILL it after some seconds. Returns the signal it died of."""
    child = os.fork()
    if child == 0:
        try:
            prepare()
            worker.main(directory)
        finally:
            os._exit(0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return int(signal.SIGKILL)


def dying(owner: Any, name: str, call: int, *, after: bool) -> Callable[[], None]:
    """Make the n-th call of a function the last thing its process does."""

    def prepare() -> None:
        original, calls = getattr(owner, name), [0]

        def last(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if calls[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, last)

    return prepare


MOMENTS = {
    "before anything is written": dying(transformers.Trainer, "_save_checkpoint", 1, after=False),
    "weights written, optimiser not": dying(transformers.Trainer, "save_model", 2, after=True),
    "optimiser written, extra state not": dying(checkpoints_module, "save_file", 2, after=False),
    "everything written but the seal": dying(sealing_module, "seal", 2, after=False),
    "sealed": dying(sealing_module, "seal", 2, after=True),
    "old checkpoints going": dying(transformers.trainer, "rotate_checkpoints", 3, after=False),
    "at the second lag refresh": dying(refresh_offline, "refresh", 2, after=False),
    "refreshed, not yet saved": dying(refresh_offline, "refresh", 2, after=True),
    "final model written but the seal": dying(worker, "seal", 1, after=False),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_chosen_moment(runs: Callable[[], Path], whole: Left, moment: str) -> None:
    directory = runs()
    assert in_a_process(directory, MOMENTS[moment]) == signal.SIGKILL
    assert not (directory / "final" / MANIFEST).exists()
    assert finished(directory) == whole


def test_killed_again_and_again_at_random_moments(runs: Callable[[], Path], whole: Left) -> None:
    rng, directory, kills = random.Random(0), runs(), 0
    for _ in range(12):
        kills += in_a_process(directory, lambda: None, rng.uniform(0.02, 0.5)) == signal.SIGKILL
    assert kills >= 3
    assert finished(directory) == whole


def cut(checkpoint: Path, name: str, size: int) -> None:
    os.truncate(checkpoint / name, size)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("model.safetensors", 0),
        ("model.safetensors", 999),
        ("optimizer.pt", 99),
        ("mopo_state.safetensors", 8),
        ("trainer_state.json", 20),
        (MANIFEST, 30),
    ],
)
def test_a_cut_checkpoint_is_skipped_by_name(
    runs: Callable[[], Path], whole: Left, caplog: pytest.LogCaptureFixture, name: str, size: int
) -> None:
    directory = runs()
    in_a_process(directory, dying(worker, "seal", 1, after=False))
    last = last_complete_checkpoint(directory)
    assert last is not None
    cut(last, name, size)
    assert finished(directory) == whole
    said = next(r.getMessage() for r in caplog.records if "skipping" in r.getMessage())
    assert str(last) in said
    assert name in said or name == MANIFEST


def test_a_cut_final_model_is_made_again(runs: Callable[[], Path], whole: Left) -> None:
    root = runs().parent / "cut"
    run = tiny_run_of(root)
    final = train_run(run, root).directory
    cut(final, "model.safetensors", 0)
    assert (train_run(run, root).directory / "model.safetensors").read_bytes() == whole[0]


@pytest.mark.parametrize("lost", ["optimiser", "lag state"])
def test_without_part_of_the_state_the_weights_differ(
    runs: Callable[[], Path], whole: Left, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Negative controls: the comparisons above can fail."""
    directory = runs()
    in_a_process(directory, dying(sealing_module, "seal", 3, after=True))
    checkpoint = last_complete_checkpoint(directory)
    assert checkpoint is not None
    if lost == "optimiser":
        (checkpoint / "optimizer.pt").unlink()
        seal(checkpoint)
    else:
        own = WeightedTrainer
        base = transformers.Trainer._load_optimizer_and_scheduler
        monkeypatch.setattr(own, "_load_optimizer_and_scheduler", base)
    assert finished(directory)[0] != whole[0]


@pytest.mark.parametrize("wall", ["limit", "no space"])
def test_a_full_disk_stops_in_one_line_and_keeps_the_last_checkpoint(
    runs: Callable[[], Path], whole: Left, monkeypatch: pytest.MonkeyPatch, wall: str
) -> None:
    directory = runs()
    if wall == "limit":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        act: Any = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # noqa: E731
    else:

        def act() -> None:
            def full(*_: Any, **__: Any) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(checkpoints_module, "save_file", full)

    sealed = sealing_module.seal
    monkeypatch.setattr(sealing_module, "seal", lambda path: (sealed(path), act()))
    with pytest.raises(WriteError) as caught:
        worker.main(directory)
    if wall == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    monkeypatch.undo()
    line = str(caught.value)
    assert f"checkpoint-4 could not be written to {directory}" in line
    assert "MiB were free" in line
    assert "checkpoint-2 is kept" in line
    assert "\n" not in line
    assert not (directory / "checkpoint-4").exists()
    assert finished(directory) == whole


def test_a_policy_half_copied_is_copied_again(tiny_run: Path, tmp_path: Path) -> None:
    root = copy(tiny_run, tmp_path / "data")
    half = root / "06_models/.policy-half/new"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"0")
    trained = {p: p.stat().st_mtime_ns for p in checkpoints(root)}
    done = kedro(*ONLY, data_root=root)
    assert done.returncode == 0, done.stderr
    [first], [second] = (r.glob("06_models/policy/model.safetensors") for r in (tiny_run, root))
    assert first.read_bytes() == second.read_bytes()
    assert trained == {p: p.stat().st_mtime_ns for p in checkpoints(root)}


def test_two_runs_do_not_share_a_directory(
    runs: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopo_pipeline.launching.lock.PATIENCE", 0.1)
    directory = runs()
    with (
        worker.sole_run(directory),
        pytest.raises(MopoError, match=f"process {os.getpid()} on .* is training in"),
    ):
        worker.main(directory)


ISOLATED = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "mopo_pipeline":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
policy, base = sys.argv[1:3]
model = AutoModelForCausalLM.from_pretrained(base)
if policy != base:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, policy)
tokenizer = AutoTokenizer.from_pretrained(policy)
settings = GenerationConfig.from_pretrained(policy)
chat = [{"role": "user", "content": "how do I begin"}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
out = model.eval().generate(**ids, generation_config=settings, max_new_tokens=4, do_sample=False)
print(model.num_parameters(), out.shape[1] - ids["input_ids"].shape[1])
"""


def in_plain_transformers(policy: Path, base: Path) -> list[str]:
    """Load and use a policy in a process that cannot import this project."""
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED, str(policy), str(base)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return done.stdout.split()


def assert_portable(policy: Path) -> None:
    texts = [p for p in policy.rglob("*") if p.suffix in {".json", ".md", ".jinja"}]
    assert {"README.md", "generation_config.json", "mopo.json"} <= {p.name for p in texts}
    assert not [p for p in policy.rglob("*") if p.suffix in {".bin", ".pt", ".pkl"}]
    local = [p.name for p in texts for root in ("/tmp", str(PROJECT)) if root in p.read_text()]
    assert local == []


def test_policy_loads_in_plain_transformers(tiny_run: Path) -> None:
    policy = tiny_run / "06_models/policy"
    weights = load_file(policy / "model.safetensors")
    parameters, generated = in_plain_transformers(policy, policy)
    assert int(parameters) == sum(v.size for v in weights.values())
    assert 1 <= int(generated) <= 4
    assert_portable(policy)


def test_the_card_says_what_was_planned_and_attained(tiny_run: Path) -> None:
    card = (tiny_run / "06_models/policy/README.md").read_text()
    assert "| attained | 95% interval | test prompts | verdict |" in card
    for name in (
        "helpfulness | primary",
        "harmlessness | constrained",
        "conciseness | constrained",
    ):
        assert f"| {name} |" in card
    assert "fingerprints: data `" in card


def test_lora_policy_is_an_adapter_that_loads(tiny_run: Path, tmp_path: Path) -> None:
    root = copy(tiny_run, tmp_path / "data")
    lora = "train.lora.r=4,train.lora.alpha=8"
    done = kedro("--from-nodes=train.train_policy", f"--params={lora}", data_root=root)
    assert done.returncode == 0, done.stderr
    policy = root / "06_models/policy"
    assert (root / "08_reporting/report.html").is_file()
    settings = json.loads((policy / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "reference_policy"
    assert_portable(policy)
    moved = tmp_path / "elsewhere"
    shutil.move(root / "06_models", moved)
    in_plain_transformers(moved / "policy", moved / "reference_policy")
    model, _ = load_model(moved / "policy")
    assert type(model).__name__ == "PeftModelForCausalLM"
    base = moved / "reference_policy/config.json"
    base.write_text(base.read_text() + " ")
    with pytest.raises(InputError, match="is an adapter for another base"):
        load_model(moved / "policy")
