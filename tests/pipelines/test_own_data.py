"""Own data and a pretrained model, with nothing said but where they lie: the first contact."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import PROJECT, kedro
from own_ratings import rated
from tiny_training import tiny_model


@pytest.mark.slow
def test_own_data_and_a_pretrained_model_run_to_the_end_with_nothing_else_said(
    tmp_path: Path,
) -> None:
    rated(tmp_path / "mine.jsonl")
    given: dict[str, Any] = {
        "ingest": {"source": "files", "path": str(tmp_path / "mine.jsonl")},
        "task": {"objectives": [{"name": "helpful"}, {"name": "brief"}]},
        "reference": {"model": str(tiny_model(tmp_path / "model"))},
        "evaluate": {"bootstrap": 50},
    }
    conf = shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    (conf / "mine").mkdir()
    (conf / "mine/parameters.yml").write_text(yaml.safe_dump(given))
    root = tmp_path / "data"
    done = kedro(f"--conf-source={conf}", "--env=mine", data_root=root)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "FutureWarning" not in said and "DeprecationWarning" not in said
    assert "no threshold given for brief: planned for 0.500 (as good as the data)" in said
    assert "reference: 14 steps of 16 rows, 1.0 times over 220 rows, take about" in said
    assert "policy: 28 steps of 16 rows, 2.0 times over 220 rows, take about" in said
    assert said.index("Plan: win rates") < said.index("reference: 14 steps")
    assert json.loads((root / "06_models/policy/adapter_config.json").read_text())["r"] == 16
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith(("report: ", "next: kedro run --env=mine"))
