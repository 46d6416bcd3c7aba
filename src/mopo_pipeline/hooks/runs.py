"""Every run leaves one file that says what ran, with which parameters and versions, and how it ended."""

import contextlib
import json
import logging
import os
import platform
import tempfile
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DatasetError

from mopo_pipeline.disk import disk_error, disk_full, write_text
from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.hooks.command import BEGINS, LIMITS, again
from mopo_pipeline.hooks.facts import commit_of, run_facts
from mopo_pipeline.hooks.guard import data_root, one_line
from mopo_pipeline.hooks.said_once import say_once
from mopo_pipeline.hooks.signals import Interruption
from mopo_pipeline.memory import exhausted, memory_error
from mopo_pipeline.parameters.front import SweepRun
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


BASE = "base"
"""The environment of a run that names none."""

PAGE = ".html"
"""What a browser opens."""

ONE_BY_ONE = (
    "nodes run one after another, in one process and thread: it keeps the run's record and what is left to do, hears its "
    "signals and draws its random numbers; leave out --runner. Whole runs go side by side: kedro run --pipelines=front, or "
    "each with a data_root of its own"
)
"""Why Kedro's runners that do otherwise are refused."""

REPORT, FRONT = "params:report", "params:front"
"""Groups that are told which run they are of."""


class RunLogHook:
    """Writes ``08_reporting/runs/<run id>.json`` at the start of a run and again at its end."""

    def __init__(self) -> None:
        self._folder = Path()
        self._parameters: dict[str, Any] = {}
        self._record: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._saved: set[str] = set()
        self._began = 0.0
        self._pipeline: Any = None
        self._run: dict[str, Any] = {}
        self._repeated: SweepRun | None = None
        self._project = Path()
        self._at = (0, 0)
        self._interruption = Interruption(self._interrupted)

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the resolved parameters and where the run's artifacts lie."""
        given, self._project = context.params, Path(context.project_path)
        self._folder = data_root(context) / "08_reporting" / "runs"
        self._parameters = validate_parameters({k: v for k, v in given.items() if k in GROUPS})
        self._repeated = SweepRun(
            project=str(context.project_path),
            conf_source=str(context.config_loader.conf_source),
            environment=context.env,
            params=dict(context.config_loader.runtime_params or {}),
        )

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Open the record; the data root is this run's alone, so that no other one is running."""
        say_once()
        self._began, self._pipeline, self._saved = time.monotonic(), pipeline, set()
        self._started = {}
        self._run, self._at = run_params, _here()
        self._trained = catalog.exists("policy")
        close_abandoned(self._folder)
        self._record = {
            "run_id": run_params["run_id"],
            "nth": 1 + len(list(self._folder.glob("*.json"))),
            "status": "running",
            "started": _now(),
            "environment": run_params["env"] or BASE,
            "pipelines": run_params["pipeline_names"],
            "nodes": [node.name for node in pipeline.nodes],
            "finished_nodes": [],
            "node_seconds": {},
            "parameters": self._parameters,
            "commit": commit_of(self._project),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in RECORDED_PACKAGES},
        }
        self._interruption.expect()
        self._write_or_end()

    @hook_impl
    def before_node_run(self, node: Any, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Start a node's clock, its inputs loaded; tell the report which run it is of.

        Raises:
            InputError: another process or thread than the run's own is about to carry it out.
        """
        if _here() != self._at:
            raise InputError(ONE_BY_ONE)
        self._interruption.insist()
        self._started[node.name] = time.perf_counter()
        told: dict[str, Any] = {}
        if (report := inputs.get(REPORT)) is not None:
            whole = {_stage(node.name) for node in pipelines["__default__"].nodes}
            run = {
                "environment": self._record["environment"],
                "seconds": self._seconds(),
                "command": again(self._run, pipelines=False),
                "stages": tuple(dict.fromkeys(_stage(n) for n in self._record["nodes"])),
                "trained": self._trained,
                "run": run_facts(self._record, self._same(), self._folder, whole),
            }
            told[REPORT] = report.model_copy(update=run)
        if (front := inputs.get(FRONT)) is not None:
            told[FRONT] = front.model_copy(update={"run": self._repeated})
        return told or None

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Tell how far the run is, and how long the node took without loading and saving."""
        seconds = time.perf_counter() - self._started[node.name]
        self._record["node_seconds"][node.name] = round(seconds, 3)
        self._record["finished_nodes"].append(node.name)
        if not node.outputs:  # it only prints, and what it prints is the last thing to be read
            return
        done, total = len(self._record["finished_nodes"]), len(self._record["nodes"])
        log.info("%s (%d of %d)", node.name, done, total)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Remember what would be there if the run ended now: a node ends before its outputs are saved."""
        self._saved.add(dataset_name)
        self._interruption.insist()

    @hook_impl
    def after_pipeline_run(self, catalog: Any) -> None:
        """Close the record of a run that succeeded, and say where the page lies that it was asked for."""
        self._interruption.forget()
        self._end("succeeded")
        self._write_or_end()
        for name in sorted(self._pipeline.outputs()):  # the report's own table says where that lies
            place = getattr(catalog.get(name), "_filepath", None)
            if place is not None and place.suffix == PAGE:
                tell(f"page: {place}")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the record of a run that failed; what a user can act on is printed as one line."""
        self._interruption.forget()
        if not self._interruption.was_told:  # what a library made of a signal is no failure
            self._end("failed", error=str(error))
        with contextlib.suppress(OSError):  # a full disk: the error that stopped the run is shown
            self._write()
        if exhausted(error):
            error = memory_error(self._stage(), error)
        elif disk_full(error):
            error = disk_error(self._stage(), error, self._places())
        if isinstance(error, MopoError | DatasetError | OSError):
            if self._record["finished_nodes"] and (command := self._go_on()):
                tell(f"what is done is kept: once mended, go on with `{command}`")
            raise one_line(error) from error

    def _interrupted(self, signal: str) -> None:
        """Close the record of a run that is being stopped, and say how to go on."""
        self._end("interrupted", signal=signal)
        with contextlib.suppress(OSError):
            self._write()
        if command := self._go_on():
            tell(
                f"interrupted ({signal}): go on with `{command}`; training goes on from its last complete checkpoint"
            )

    def _go_on(self) -> str:
        """The command that does what is left of the run; empty where nothing is."""
        left = [
            node.name
            for node in self._pipeline.nodes
            if node.name not in self._record["finished_nodes"] or set(node.outputs) - self._saved
        ]
        if not left:
            return ""
        begin = sorted(n.name for n in self._pipeline.only_nodes(*left).grouped_nodes[0])
        first = f"--from-nodes={','.join(begin)}"
        return again(self._run, first, pipelines=True, parts=LIMITS)

    def _stage(self) -> str:
        """The stage of the node that began last."""
        return _stage(next(reversed(self._started), ""))

    def _same(self) -> str:
        """The command that does the same again."""
        return again(self._run, pipelines=True, parts=BEGINS | LIMITS)

    def _end(self, status: str, **told: str) -> None:
        """What the record says of an end; its seconds hold where the clock of the machine was set meanwhile."""
        self._record |= {"status": status, "finished": _now(), "seconds": self._seconds(), **told}

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)

    def _places(self) -> list[Path]:
        """Folders that a run writes to."""
        return [self._folder.parents[1], Path(tempfile.gettempdir())]

    def _write_or_end(self) -> None:
        """Write the record; a run that cannot be recorded ends with one line."""
        try:
            self._write()
        except OSError as error:
            self._interruption.forget()
            full = disk_full(error)
            raise one_line(disk_error("", error, self._places()) if full else error) from error

    def _write(self) -> None:
        path = self._folder / f"{self._record['run_id'].replace(':', '.')}.json"
        write_text(path, json.dumps(self._record, indent=2) + "\n")


def tell(text: str) -> None:
    """Say it on one line, however long: a command that is to be copied is not wrapped, as a log would."""
    click.echo(text, err=True)


def close_abandoned(folder: Path) -> None:
    """Mark runs as interrupted that ended without a word, such as by SIGKILL."""
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if record.get("status") == "running":
            record["status"] = "interrupted"
            with contextlib.suppress(OSError):  # a full disk: the record as it was says as much
                write_text(path, json.dumps(record, indent=2) + "\n")


def _here() -> tuple[int, int]:
    """The process and thread at work."""
    return os.getpid(), threading.get_ident()


def _stage(node: str) -> str:
    return node.partition(".")[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
