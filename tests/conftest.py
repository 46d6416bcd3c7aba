"""What several tests share: a project session and a tiny pocket run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

PROJECT = Path(__file__).parents[1]
os.environ.update(DO_NOT_TRACK="1", HF_HUB_OFFLINE="1", MPLBACKEND="Agg")
# As on a user's machine: a container that forbids bytecode would have every process started here compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def kedro(*arguments: str, data_root: Path) -> subprocess.CompletedProcess[str]:
    """Run ``kedro run`` in the ``test`` environment as a user would, in a process of its own."""
    given = [a for a in arguments if not a.startswith("--params=")]
    params = [a.removeprefix("--params=") for a in arguments if a.startswith("--params=")]
    joined = ",".join([f"data_root={data_root}", *params])
    return subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env=test", f"--params={joined}", *given],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"COLUMNS": "200"},
        check=False,
    )


def refused(*options: str, monkeypatch: pytest.MonkeyPatch, folder: Path = PROJECT) -> str:
    """The one line that ``kedro run`` with these options answers, in this process."""
    from click.testing import CliRunner
    from kedro.framework.startup import bootstrap_project

    from mopo_pipeline.cli import run

    monkeypatch.chdir(folder)
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(run, list(options))
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    [said] = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.output
    return said


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data root of one whole pipeline run on a tiny pocket task, made by the worker that needs it first."""
    alone = worker_id == "master"
    shared = tmp_path_factory.getbasetemp()
    root = (shared if alone else shared.parent) / "tiny_run"
    with FileLock(f"{root}.lock"):
        if not (root / "08_reporting/report.html").is_file():
            done = kedro(data_root=root)
            assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(autouse=True)
def leaves_the_shared_run_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that writes where every other one reads would fail them by the order they run in."""
    if "tiny_run" not in request.fixturenames:
        yield
        return
    root = request.getfixturevalue("tiny_run")
    before = _written(root)
    yield
    assert _written(root) == before, "the shared run was changed: take a copy of it"


def _written(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def without_nearest(patch: pytest.MonkeyPatch) -> None:
    """Refuse thresholds over comparisons at once: what lies nearest to them takes seconds to find."""
    named = "mopo_pipeline.mopo.solvers.over_comparisons._nearest_solved"
    patch.setattr(named, lambda bounds, thresholds, reached: thresholds)
