"""Every run leaves one file that says what ran, with which parameters and versions, and how it ended."""

import contextlib
import json
import logging
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from mopo_pipeline.errors import MopoError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.groups import GROUPS, validate_parameters

log = logging.getLogger(__name__)

RECORDED_PACKAGES = (
    "mopo-pipeline",
    "kedro",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "numpy",
)


class RunLogHook:
    """Writes ``08_reporting/runs/<run id>.json`` at the start of a run and again at its end."""

    def __init__(self) -> None:
        self._folder = Path()
        self._parameters: dict[str, Any] = {}
        self._record: dict[str, Any] = {}
        self._started: dict[str, float] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the resolved parameters and where the run's artifacts lie."""
        given = context.params
        root = given.get("data_root", context.config_loader["globals"]["data_root"])
        self._folder = Path(context.project_path) / root / "08_reporting" / "runs"
        self._parameters = validate_parameters({k: v for k, v in given.items() if k in GROUPS})

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any) -> None:
        """Open the record."""
        self._record = {
            "run_id": run_params["run_id"],
            "status": "running",
            "started": _now(),
            "environment": run_params["env"],
            "pipelines": run_params["pipeline_names"],
            "nodes": [node.name for node in pipeline.nodes],
            "finished_nodes": [],
            "node_seconds": {},
            "parameters": self._parameters,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in RECORDED_PACKAGES},
        }
        self._write()

    @hook_impl
    def before_node_run(self, node: Any) -> None:
        """Start a node's clock, its inputs loaded."""
        self._started[node.name] = time.perf_counter()

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Tell how far the run is, and how long the node took without loading and saving."""
        seconds = time.perf_counter() - self._started[node.name]
        self._record["node_seconds"][node.name] = round(seconds, 3)
        self._record["finished_nodes"].append(node.name)
        done, total = len(self._record["finished_nodes"]), len(self._record["nodes"])
        log.info("%s (%d of %d)", node.name, done, total)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the record of a run that succeeded."""
        self._record |= {"status": "succeeded", "finished": _now()}
        self._write()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the record of a run that failed; what a user can act on is printed as one line."""
        self._record |= {"status": "failed", "finished": _now(), "error": str(error)}
        with contextlib.suppress(OSError):  # a full disk: the error that stopped the run is shown
            self._write()
        if isinstance(error, MopoError | DatasetError | OSError):
            raise one_line(error) from error

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._record['run_id'].replace(':', '.')}.json"
        path.write_text(json.dumps(self._record, indent=2) + "\n", encoding="utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
