"""The project as Kedro-Viz shows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROJECT
from mopo_pipeline.pipeline_registry import BY_NAME, STAGES

SHOW = """
import json, sys
from pathlib import Path
from kedro_viz.server import load_and_populate_data
from kedro_viz.api.rest.responses.pipelines import get_pipeline_response
from kedro_viz.data_access import data_access_manager
from kedro_viz.models.flowchart.node_metadata import TaskNodeMetadata
load_and_populate_data(Path(sys.argv[1]), is_lite=False)
shown = get_pipeline_response("__default__")
[node] = [n for n in data_access_manager.nodes.as_list() if n.name.endswith("train_policy")]
task = TaskNodeMetadata(task_node=node)
print(json.dumps({
    "boxes": [c.id for c in shown.modular_pipelines["__root__"].children if c.type == "modularPipeline"],
    "layers": shown.layers, "code": task.code, "filepath": task.filepath, "command": task.run_command,
    "torch": "torch" in sys.modules,
    "hidden": [
        name for name in data_access_manager.registered_pipelines.get_pipeline_ids()
        if not get_pipeline_response(name).layers
    ],
}))
"""


@pytest.mark.slow
def test_kedro_viz_opens_with_seven_boxes_their_layers_and_the_code_that_runs(
    tmp_path: Path,
) -> None:
    pytest.importorskip("kedro_viz")
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(PROJECT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert sorted(shown["boxes"]) == sorted(STAGES)
    assert sorted(shown["layers"]) == sorted([*STAGES, *BY_NAME])
    assert shown["code"].startswith("def extract_policy(")
    assert shown["filepath"].endswith("mopo_pipeline/policies/extract.py")
    assert shown["command"] == "kedro run --to-nodes='train.train_policy'"
    assert not shown["torch"]
    assert shown["hidden"] == []  # layers that wait for each other are shown nowhere in that view
