"""What a run tells its page of itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

from mopo_pipeline.hooks.facts import commit_of, device, run_facts, stage_seconds
from mopo_pipeline.parameters.changed import OF_A_RUN, changed_parameters
from mopo_pipeline.parameters.groups import GROUPS

GIVEN: dict[str, dict[str, Any]] = {
    "task": {"objectives": [{"name": "help"}, {"name": "harm", "threshold": 0.5}]},
    "ingest": {"source": "pocket"},
    "plan": {"tau": 0.1},
    "reference": {"work_dir": "a"},
    "train": {"work_dir": "b"},
}
"""What has no default."""


def resolved(**changes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: GROUPS[name]
        .model_validate(GIVEN.get(name, {}) | changes.get(name, {}))
        .model_dump(mode="json")
        for name in OF_A_RUN
    }


def test_what_is_at_its_default_is_not_told_and_what_was_set_is() -> None:
    assert set(changed_parameters(resolved())) == {"task.objectives", "ingest.source", "plan.tau"}
    told = changed_parameters(
        resolved(
            plan={"tau": 0.2, "margins": {"harm": 0.01}},
            evaluate={"sampling": {"temperature": 0.7}},
            report={"path": "data/report.html"},
        )
    )
    assert {key: told[key] for key in told if key not in ("task.objectives", "ingest.source")} == {
        "plan.tau": 0.2,
        "plan.margins": {"harm": 0.01},
        "evaluate.sampling.temperature": 0.7,
    }


def test_a_mode_that_is_not_the_default_is_told_with_its_own_keys() -> None:
    told = changed_parameters(resolved(train={"lag": {"mode": "offline", "every": 7}}))
    assert {key: told[key] for key in told if key.startswith("train.")} == {
        "train.lag.mode": "offline",
        "train.lag.every": 7,
    }


def test_a_group_that_is_left_out_by_default_is_told_whole() -> None:
    told = changed_parameters(resolved(train={"lora": {"r": 16}}))
    assert told["train.lora"]["r"] == 16
    assert "alpha" in told["train.lora"]


def test_seconds_of_a_stage_are_those_of_the_last_run_of_each_node() -> None:
    records = [
        {"node_seconds": {"plan.a": 1.0, "train.b": 100.0}},
        {"node_seconds": {"plan.a": 2.0, "plan.c": 0.5}},
        {},
    ]
    assert stage_seconds(records, {"plan", "train"}) == {
        "plan": {"plan.a": 2.0, "plan.c": 0.5},
        "train": {"train.b": 100.0},
    }


def test_the_facts_of_a_run_rest_on_its_record_and_on_those_before(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({"node_seconds": {"train.b": 9.0, "front.z": 99.0}})
    )
    (tmp_path / "b.json").write_text("half a rec")
    record = {
        "started": "2026-01-01T00:00:00+00:00",
        "commit": None,
        "parameters": resolved(),
        "nodes": ["report.c", "report.d"],
        "node_seconds": {"report.c": 1.0},
    }
    found = run_facts(record, "kedro run", tmp_path, {"train", "report"})
    assert found.stage_seconds == {"train": 9.0, "report": 1.0}
    assert found.earlier == ("train",)
    whole = record | {"nodes": ["train.b", "report.c"]}
    assert run_facts(whole, "kedro run", tmp_path, {"train", "report"}).earlier == ()
    assert (found.model, found.command) == ("scratch", "kedro run")
    assert found.device == device()
    assert json.loads(json.dumps(found.changed))


def test_stages_stand_in_the_order_in_which_they_ended() -> None:
    nodes = {"evaluate.fit": 1.0, "plan.solve": 2.0, "train.fit": 3.0, "evaluate.judge": 4.0}
    assert list(stage_seconds([{"node_seconds": nodes}], {"evaluate", "plan", "train"})) == [
        "plan",
        "train",
        "evaluate",
    ]


def test_the_commit_of_a_project_says_whether_files_differ_from_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=e@x"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert commit_of(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    assert commit_of(tmp_path) == git("rev-parse", "--short", "HEAD")
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == git("rev-parse", "--short", "HEAD") + "-dirty"
