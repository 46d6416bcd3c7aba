"""A front whose point is a job of a cluster leaves what one of a process leaves, bit for bit."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from conftest import PROJECT, kedro

pytestmark = pytest.mark.slow

POINTS = [{"harmlessness": 0.2, "conciseness": 0.2}]
SUBMITTED = "front.executor.kind=submitit,front.executor.cluster=local,front.executor.submitit.timeout_min=10"
OF_TIME = {"training_log.parquet", ".training_log.fingerprint.json", "checkpoints"}
"""What says how long something took, with the hash of that, and what training leaves beside its result."""


def stand_in(folder: Path) -> None:
    """A package of submitit's name, where submitit itself is not installed."""
    if find_spec("submitit") is not None:
        return
    package = folder / "submitit"
    package.mkdir(parents=True)
    for name in ("__init__", "helpers"):
        (package / f"{name}.py").write_text("from submitit_stand_in import *\n")


def artifacts(point: Path) -> dict[str, bytes]:
    """Artifacts of a point's run by place, but for those of its report."""
    found = [path for path in point.glob("0[3-7]_*/**/*") if path.is_file()]
    kept = [p for p in found if not OF_TIME.intersection(p.relative_to(point).parts)]
    return {str(path.relative_to(point)): path.read_bytes() for path in kept}


def test_jobs_of_a_cluster_leave_the_artifacts_of_processes(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "packages")
    source = [str(tmp_path / "packages"), str(PROJECT / "tests"), str(PROJECT / "src")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(source))
    conf = shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    front = {"thresholds": POINTS, "methods": [], "share_of_steps": None}
    with (conf / "test/parameters.yml").open("a") as file:
        file.write(f"front: {json.dumps(front)}\n")
    nodes = ("--from-nodes=front.plan_points", "--to-nodes=front.train_points")
    roots = {}
    for name, params in {"processes": "front.workers=2", "submitit": SUBMITTED}.items():
        roots[name] = shutil.copytree(tiny_run, tmp_path / name)
        arguments = ("--pipelines=front", *nodes, f"--conf-source={conf}", f"--params={params}")
        done = kedro(*arguments, data_root=roots[name])
        assert done.returncode == 0, done.stdout + done.stderr
        runs = json.loads((roots[name] / "06_models/front_runs.json").read_text())
        assert [run["status"] for run in runs["points"].values()] == ["done"], runs
    points = sorted(path.parent.name for path in roots["processes"].glob("front/*/run.yml"))
    assert len(points) == 1
    for point in points:
        one, other = (artifacts(root / "front" / point) for root in roots.values())
        assert "06_models/policy/model.safetensors" in one
        assert len(one) > 20
        assert {
            name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
        } == set()
        assert (roots["submitit"] / "front" / point / "job.json").is_file()
