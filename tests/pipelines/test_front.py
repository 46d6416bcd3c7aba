"""A front as its users meet it: `kedro run --pipelines=front`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import PROJECT, kedro

pytestmark = pytest.mark.slow

NAMES = ("helpfulness", "harmlessness", "conciseness")
POINTS = [{"harmlessness": 0.2, "conciseness": 0.2}, {"harmlessness": 0.3, "conciseness": 0.2},
          {"harmlessness": 0.95, "conciseness": 0.95}]  # fmt: skip


@pytest.fixture(scope="module")
def swept(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The data root of a front of two points and one out of reach, what it said, and its configuration."""
    root, conf = (tmp_path_factory.mktemp(name) for name in ("front", "conf"))
    shutil.copytree(tiny_run, root, dirs_exist_ok=True)
    shutil.copytree(PROJECT / "conf", conf, dirs_exist_ok=True)
    front = {"thresholds": POINTS, "methods": ["reference"], "exact_points": 3, "samples": 2,
             "share_of_steps": 0.5, "tuning": {"train.fit.learning_rate": [0.001]}}  # fmt: skip
    with (conf / "test/parameters.yml").open("a") as file:
        file.write(f"front: {json.dumps(front)}\n")
    done = kedro(
        "--pipelines=front", "--only-missing-outputs", f"--conf-source={conf}", data_root=root
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout, str(conf)


def policies(root: Path) -> dict[str, int]:
    """When each trained policy was written."""
    found = sorted(root.glob("front/**/06_models/policy/model.safetensors"))
    return {str(path): path.stat().st_mtime_ns for path in found}


def test_a_front_is_trained_valued_and_judged_point_by_point(swept: tuple[Path, str, str]) -> None:
    root, said, _ = swept
    points = pd.read_parquet(root / "07_model_output/front_points.parquet")
    assert points.groupby("method")["status"].apply(list).to_dict() == {
        "mopo": ["done", "done", "skipped"],
        "mopo_interpolated": ["done"],
        "reference": ["done"],
    }
    assert not points.duplicated(["method", "point", "seed"]).any()
    [skipped] = points.loc[points["status"] == "skipped", "reason"]
    assert "out of reach" in skipped
    starts = [json.loads(h).get("start") for h in points["hyperparameters"][:2]]
    assert starts.count(None) == 1
    steps = {json.loads(h)["start"]: json.loads(h)["steps"] for h in points["hyperparameters"][:2]}
    assert sorted(steps.values()) == [4, 8]
    assert steps[None] == 8
    values = pd.read_parquet(root / "07_model_output/front_values.parquet")
    means = values.groupby(["method", "point"])[list(NAMES)].mean()
    for _, row in points.loc[points["status"] == "done"].iterrows():
        for name in NAMES:
            assert means.loc[(row["method"], row["point"]), name] == pytest.approx(
                row[f"value_{name}"]
            )
            assert row[f"low_{name}"] <= row[f"value_{name}"] <= row[f"high_{name}"]
    assert points.set_index("method").loc["reference", "kl"] == pytest.approx(0.0, abs=1e-6)
    samples = pd.read_parquet(root / "07_model_output/front_samples.parquet")
    assert len(samples) == 4 * 2
    of_reference = samples.loc[samples["method"] == "reference"]
    assert (of_reference["response"] == of_reference["reference_response"]).all()
    report = json.loads((root / "08_reporting/front_report.json").read_text())
    assert report["methods"]["mopo"]["points"] == 2
    assert 0 <= report["methods"]["mopo"]["share_of_exact"] <= 1
    assert "mopo_interpolated" in said


def test_a_point_is_worth_what_its_own_run_says_of_it(swept: tuple[Path, str, str]) -> None:
    """Two ways to the exact values: the evaluation of the point's run, and that of all methods alike."""
    points = pd.read_parquet(swept[0] / "07_model_output/front_points.parquet")
    for _, row in points.loc[
        (points["method"] == "mopo") & (points["status"] == "done")
    ].iterrows():
        own = pd.read_parquet(Path(row["folder"]) / "07_model_output/objective_values.parquet")
        own = own.loc[(own["policy"] == "policy") & (own["estimator"] == "exact")].set_index(
            "objective"
        )
        found = [row[f"value_{name}"] for name in NAMES]
        np.testing.assert_allclose(found, own.loc[list(NAMES), "value"], atol=1e-6)


def test_points_share_what_no_threshold_moves_and_count_looks_together(
    swept: tuple[Path, str, str], tiny_run: Path
) -> None:
    root = swept[0]
    for folder in (file.parent for file in (root / "front").glob("**/run.yml")):
        shared = Path("06_models/reference_policy/model.safetensors")
        assert (folder / shared).samefile(root / shared)
    before, after = (
        json.loads((place / "03_primary/looks/looks.json").read_text())
        for place in (tiny_run, root)
    )
    assert after.keys() == before.keys()
    assert [len(after[split]) - len(looks) for split, looks in before.items()] == [2]


def test_what_is_there_is_not_trained_again(
    swept: tuple[Path, str, str],
) -> None:
    root, _, conf = swept
    before = policies(root)
    done = kedro(
        "--pipelines=front", "--nodes=front.train_points", f"--conf-source={conf}", data_root=root
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert policies(root) == before
    assert len(before) == 2


def test_ours_is_tuned_over_its_grid_by_validation_labels(swept: tuple[Path, str, str]) -> None:
    root = swept[0]
    points = pd.read_parquet(root / "07_model_output/front_points.parquet").iloc[:2]
    for told in map(json.loads, points["hyperparameters"]):
        [tried] = told["tuned_over"]
        assert tried["train.fit.learning_rate"] == told["learning_rate"] == 0.001
        assert 0.0 < tried["hypervolume"] < 0.75**3
    taken = json.loads((root / "06_models/front_runs.json").read_text())["tuning"]["folder"]
    assert all(folder.startswith(taken) for folder in points["folder"])
