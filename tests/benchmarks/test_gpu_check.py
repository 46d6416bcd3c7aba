"""The GPU check says passed, failed or skipped of every check, and why, and its exit code says whether one failed."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from conftest import PROJECT


@pytest.fixture(scope="module")
def check() -> ModuleType:
    place = PROJECT / "benchmarks/gpu_check.py"
    spec = importlib.util.spec_from_file_location("gpu_check", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module
    spec.loader.exec_module(module)
    return module


def without_gpus(check: ModuleType, patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.slow
def test_without_a_gpu_what_a_cpu_can_do_is_checked_and_the_rest_is_skipped_by_name(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_gpus(check, monkeypatch)
    out = tmp_path / "gpu-check.json"
    assert check.main(["--small", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    said = {name: one["verdict"] for name, one in report["checks"].items()}
    on_cpu = ("bf16_parity", "prompt_sharing", "resume")
    assert said == {name: "passed" if name in on_cpu else "skipped" for name in check.checks()}
    assert report["checks"]["fsdp2"]["reason"] == "needs 2 GPUs, there are 0"
    assert report["checks"]["resume"]["figures"]["weights_apart"]["value"] == 0.0
    assert 0 < report["checks"]["bf16_parity"]["figures"]["nats_a_token"]["value"] < 0.02
    assert report["device"] == "cpu"
    assert report["machine"]["torch"]


@pytest.mark.slow
def test_a_figure_beyond_its_limit_and_a_check_that_raises_fail_and_the_exit_code_says_so(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_gpus(check, monkeypatch)

    def breaks(_: object) -> dict[str, object]:
        raise RuntimeError("no kernel\nfor this card")

    checks = {
        "wrong": check.Check(lambda _: {"gap": check.Figure(0.3, 0.0, 0.1)}),
        "unknown": check.Check(lambda _: {"gap": check.Figure(float("nan"), 0.0, 0.1)}),
        "broken": check.Check(breaks),
        "absent": check.Check(breaks, packages=("no_such_package",)),
    }
    monkeypatch.setattr(check, "checks", lambda: checks)
    out = tmp_path / "gpu-check.json"
    assert check.main(["--out", str(out)]) == 1
    found = json.loads(out.read_text())["checks"]
    assert {name: (one["verdict"], one["reason"]) for name, one in found.items()} == {
        "wrong": ("failed", "gap beyond the limit"),
        "unknown": ("failed", "gap beyond the limit"),
        "broken": ("failed", "RuntimeError: no kernel"),
        "absent": ("skipped", "needs no_such_package: pip install no_such_package"),
    }
    assert found["unknown"]["figures"]["gap"] == {"value": None, "low": 0.0, "high": 0.1}
