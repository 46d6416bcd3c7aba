"""What the locks promise: everything their packages require, under every Python, and torch with its own."""

import importlib.util
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from conftest import PROJECT


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", PROJECT / "requirements/check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = loaded()
TORCH = check.Package(
    "2.13.0",
    ("numpy>=2", 'triton==3.7.1; platform_system == "Linux"', 'old; python_version < "3.12"'),
)


@pytest.mark.parametrize(
    ("packages", "python", "said"),
    [
        ({"numpy": "2.4", "triton": "3.7.1"}, "3.13", []),
        ({"numpy": "2.4"}, "3.13", ["torch 2.13.0 requires triton==3.7.1, which no lock holds"]),
        (
            {"numpy": "1.9", "triton": "3.7.1"},
            "3.13",
            ["torch 2.13.0 requires numpy>=2, but the lock holds 1.9"],
        ),
        (
            {"numpy": "2.4", "triton": "3.7.1"},
            "3.11",
            ["torch 2.13.0 requires old, which no lock holds"],
        ),
    ],
)
def test_what_is_missing_is_named_with_who_requires_it(
    packages: dict[str, str], python: str, said: list[str]
) -> None:
    known = {name: check.Package(found, ()) for name, found in packages.items()}
    assert check.missing(Requirement("torch"), {**known, "torch": TORCH}, python) == said


def test_extras_ask_for_more() -> None:
    toolkit = check.Package("13", ('nvidia-cublas==13.*; extra == "cublas"',))
    packages = {"cuda-toolkit": toolkit}
    assert check.missing(Requirement("cuda-toolkit"), packages, "3.11") == []
    [said] = check.missing(Requirement("cuda-toolkit[cublas]"), packages, "3.11")
    assert "nvidia-cublas==13.*" in said


def installed(names: set[str]) -> dict[str, object]:
    found = {}
    for name in names:
        try:
            found[name] = check.Package(version(name).split("+")[0], tuple(requires(name) or ()))
        except PackageNotFoundError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("python", check.PYTHONS)
@pytest.mark.parametrize(
    ("lock", "root"), [("run.lock", "mopo-pipeline"), ("test.lock", "mopo-pipeline[dev]")]
)
def test_locks_hold_what_the_installed_packages_require(python: str, lock: str, root: str) -> None:
    names = set(check.pins(PROJECT / "requirements" / lock))
    packages = installed(names) | {check.OWN: check.project()}
    assert len(packages) > 75
    assert check.missing(Requirement(root), packages, python) == []


def test_the_locks_agree_with_each_other_and_pin_torch() -> None:
    run, test, cuda = (
        check.pins(PROJECT / f"requirements/{n}.lock") for n in ("run", "test", "cuda")
    )
    assert run["torch"] == "2.13.0"
    assert run.items() <= test.items()
    assert {"triton", "nvidia-cudnn-cu13", "cuda-toolkit"} <= cuda.keys()
    assert not cuda.keys() & test.keys()


@pytest.mark.parametrize("stamp", [".run", ".test"])
def test_torch_is_installed_first_and_with_what_its_wheel_requires(stamp: str) -> None:
    done = subprocess.run(
        ["make", "-n", "-B", f".venv/{stamp}"],
        cwd=PROJECT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    torch, *others = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert torch.endswith(" torch")
    assert "-c requirements/run.lock -c requirements/cuda.lock" in torch
    assert "--no-deps" not in torch
    assert all("--no-deps" in line for line in others)
