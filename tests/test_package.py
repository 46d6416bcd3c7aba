"""The installed package, away from its project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from conftest import PROJECT
from mopo_pipeline.cli import check_environment


@pytest.mark.slow
def test_a_wheel_runs_in_an_empty_folder_with_a_configuration_by_path(tmp_path: Path) -> None:
    tree, wheels, installed, empty = (tmp_path / name for name in ("tree", "wheels", "to", "empty"))
    shutil.copytree(PROJECT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, tree)
    pip = [sys.executable, "-m", "pip"]
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(tree)]
    subprocess.run([*pip, *build], check=True)
    [wheel] = wheels.glob("mopo_pipeline-*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "-t", str(installed), wheel], check=True)
    empty.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mopo_pipeline", "--env=test", "--pipelines=ingest"),
            *(f"--conf-source={PROJECT / 'conf'}", f"--params=data_root={empty / 'kept'}"),
        ],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (empty / "kept/03_primary/responses.parquet").is_file()
    assert (installed / "bin/mopo-pipeline").is_file()


def test_a_place_without_configuration_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError, match=r"conf/base is not there.*--conf-source"):
        check_environment({"env": None, "conf_source": None})
    (tmp_path / "conf/base").mkdir(parents=True)
    check_environment({"env": None, "conf_source": None})
    with pytest.raises(click.UsageError, match="no environment 'mine'"):
        check_environment({"env": "mine", "conf_source": None})
