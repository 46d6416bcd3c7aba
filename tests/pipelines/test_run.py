"""The project as its users meet it: `kedro run`, its options and its errors."""

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from conftest import PROJECT, kedro, refused

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A whole run that a test may write in."""
    return Path(shutil.copytree(tiny_run, tmp_path / "copy"))


def message(done: subprocess.CompletedProcess[str]) -> str:
    """The one line an error prints."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("Error: "))


def test_whole_run_leaves_every_catalog_artifact(tiny_run: Path) -> None:
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    with KedroSession.create(
        PROJECT, env="test", runtime_params={"data_root": str(tiny_run)}
    ) as session:
        catalog = session.load_context().catalog
        names = sorted(pipelines["__default__"].all_outputs())
        missing = [name for name in names if not catalog.exists(name)]
    assert len(names) >= 30
    assert missing == []


def test_run_is_recorded_with_its_resolved_parameters(tiny_run: Path) -> None:
    [record] = [json.loads(p.read_text()) for p in (tiny_run / "08_reporting/runs").glob("*.json")]
    assert record["status"] == "succeeded"
    assert record["environment"] == "test"
    assert record["parameters"]["task"]["seed"] == 0
    assert record["packages"]["torch"].startswith("2.")
    assert list(record["node_seconds"]) == record["finished_nodes"]
    started, ended = (datetime.fromisoformat(record[key]) for key in ("started", "finished"))
    nodes = sum(record["node_seconds"].values())
    assert 0.5 < nodes <= (ended - started).total_seconds() + 1


def test_report_opens_without_anything_beside_it(tiny_run: Path) -> None:
    page = (tiny_run / "08_reporting/report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page or "<svg" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_a_rerun_gives_the_same_artifacts(tiny_run: Path, tmp_path: Path) -> None:
    done = kedro("--pipelines=train", data_root=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("row_weights", "win_rates", "training_log"):
        [first] = tiny_run.rglob(f"{name}.parquet")
        [second] = tmp_path.rglob(f"{name}.parquet")
        kept = [c for c in pd.read_parquet(first).columns if "second" not in c]
        pd.testing.assert_frame_equal(pd.read_parquet(first)[kept], pd.read_parquet(second)[kept])
    first, second = (root / "06_models/policy/model.safetensors" for root in (tiny_run, tmp_path))
    assert first.read_bytes() == second.read_bytes()


def test_another_seed_gives_other_artifacts(tiny_run: Path, tmp_path: Path) -> None:
    done = kedro("--pipelines=preferences,ingest", "--params=task.seed=1", data_root=tmp_path)
    assert done.returncode == 0, done.stderr
    [first], [second] = (r.rglob("win_rates.parquet") for r in (tiny_run, tmp_path))
    assert not pd.read_parquet(first).equals(pd.read_parquet(second))


def test_a_stage_reuses_what_lies_there(tiny_copy: Path) -> None:
    done = kedro("--pipelines=report", data_root=tiny_copy)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout


def test_changed_parameter_names_the_artifact_it_would_mix(tiny_copy: Path) -> None:
    done = kedro("--pipelines=report", "--params=plan.confidence=0.8", data_root=tiny_copy)
    line = message(done)
    assert "training_plan" in line
    assert "plan.confidence=0.95 and now is 0.8" in line
    assert f"--from-nodes=plan.plan_training --env=test --params=data_root={tiny_copy}" in line


def test_only_missing_outputs_refuses_stale_artifacts(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = f"--params=data_root={tiny_copy},evaluate.bootstrap=60"
    line = refused("--env=test", "--only-missing-outputs", given, monkeypatch=monkeypatch)
    assert "evaluate.bootstrap=50 and now is 60" in line


def test_only_missing_outputs_remakes_what_is_missing(tiny_copy: Path) -> None:
    root = tiny_copy
    [plan] = root.rglob("training_plan.json")
    plan.unlink()
    done = kedro("--only-missing-outputs", data_root=root)
    assert done.returncode == 0, done.stderr
    assert plan.is_file()


def test_artifact_without_a_fingerprint_is_named(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_copy
    [sidecar] = root.rglob(".objective_values.fingerprint.json")
    sidecar.unlink()
    given = ("--env=test", "--pipelines=report", f"--params=data_root={root}")
    line = refused(*given, monkeypatch=monkeypatch)
    assert "objective_values carries no fingerprint" in line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "train.lag.mode=fresh,train.lag.every=2,preferences.win_rates.method=empirical",
            "train.lag.judge is 'preference_model', but preferences.win_rates.method 'empirical' fits none",
        ),
        ("train.fit.stepz=3", "did you mean 'train.fit.steps'?"),
        ("trian.fit.steps=3", "unknown parameter 'trian', did you mean 'train'?"),
        ("train.fit.steps=-1", "train.fit.steps is -1: input should be greater than"),
        ("train.fit.steps=many", "train.fit.steps is 'many': input should be a valid integer"),
    ],
)
def test_bad_parameter_stops_before_any_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    params = f"--params=data_root={tmp_path},{given}"
    line = refused("--env=test", params, monkeypatch=monkeypatch)
    assert expected in line
    assert not list(tmp_path.iterdir())


def test_unreachable_threshold_says_what_is_attainable_and_keeps_the_rest(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    file = conf / "test/parameters.yml"
    file.write_text(file.read_text().replace("threshold: {position: 0.4}", "threshold: 0.99", 1))
    root = tmp_path / "data"
    line = message(kedro(f"--conf-source={conf}", data_root=root))
    assert "harmlessness" in line
    assert "attainable" in line
    assert list(root.rglob("win_rates.parquet"))
    assert not list(root.rglob("training_plan.json"))


def test_registry_list_is_light() -> None:
    code = (
        "import sys; from kedro.framework.startup import bootstrap_project;"
        f"bootstrap_project({str(PROJECT)!r});"
        "from kedro.framework.project import pipelines; print(sorted(pipelines));"
        "import mopo_pipeline.language.engines.choose, mopo_pipeline.mopo, mopo_pipeline.evaluation.values;"
        "heavy = ('torch', 'transformers', 'matplotlib', 'scipy.stats');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_one_objective_runs_to_the_report(tmp_path: Path) -> None:
    """K = 1: plain KL-regularised preference optimisation."""
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    file = conf / "test/parameters.yml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if "threshold:" not in line))
    root = tmp_path / "data"
    done = kedro(f"--conf-source={conf}", data_root=root)
    assert done.returncode == 0, done.stderr
    assert list(root.rglob("report.html"))
    [plan] = root.rglob("training_plan.json")
    assert json.loads(plan.read_text())["multipliers"] == {}


def test_a_missing_file_and_a_path_that_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "--params=ingest.source=files,ingest.path=absent.jsonl"
    assert "absent.jsonl: no such file" in message(kedro(source, data_root=tmp_path / "a"))
    given = f"--params=data_root={tmp_path / 'b'},reference.model=./nowhere"
    line = refused("--env=test", given, monkeypatch=monkeypatch)
    assert "no model at ./nowhere" in line
    assert not list((tmp_path / "b").rglob("responses.parquet"))


def test_malformed_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    with (conf / "test/parameters.yml").open("a") as file:
        file.write("\n  - stray: [")
    given = ("--env=test", f"--conf-source={conf}", f"--params=data_root={tmp_path / 'data'}")
    assert "parameters.yml" in refused(*given, monkeypatch=monkeypatch)


def test_nothing_is_exported_without_a_certificate_unless_told_so(
    tiny_copy: Path, tmp_path: Path
) -> None:
    """Nine test prompts certify nothing; the export says so, and its card says it was told to go on."""
    certificate = json.loads((tiny_copy / "08_reporting/certificate.json").read_text())
    assert certificate["verdict"] == "undecidable"
    refused = message(kedro("--pipelines=export", data_root=tiny_copy))
    assert "nothing is exported without a certificate: undecidable" in refused
    assert not (tiny_copy / "09_release").exists()
    place = tmp_path / "release"
    given = f"--params=export.uncertified=true,export.path={place}"
    done = kedro("--pipelines=export", given, data_root=tiny_copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Exported without a certificate" in (place / "policy/README.md").read_text()
    assert json.loads((place / "policy/certificate.json").read_text()) == certificate


def test_too_few_test_prompts_are_said_before_training_and_at_the_end(tiny_run: Path) -> None:
    records = [json.loads(p.read_text()) for p in (tiny_run / "08_reporting/runs").glob("*.json")]
    [order] = [
        r["finished_nodes"] for r in records if "reference.train_reference" in r["finished_nodes"]
    ]
    assert order.index("plan.foresee_certificate") < order.index("reference.train_reference")
    summary = json.loads((tiny_run / "08_reporting/run_summary.json").read_text())
    assert any(error.startswith("certificate undecidable") for error in summary["errors"])
    assert "certificate undecidable" in (tiny_run / "08_reporting/report.html").read_text()


def test_looking_again_at_the_same_policy_is_the_same_look(tiny_copy: Path) -> None:
    root = tiny_copy
    before = (root / "03_primary/looks/looks.json").read_bytes()
    done = kedro("--nodes=evaluate.certify", data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "03_primary/looks/looks.json").read_bytes() == before
    (root / "03_primary/looks/looks.json").write_text("{")
    done = kedro("--nodes=evaluate.certify", data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = json.loads((root / "08_reporting/certificate.json").read_text())
    assert refused["verdict"] == "undecidable"
    assert "looks.json is damaged" in refused["reasons"][0]
