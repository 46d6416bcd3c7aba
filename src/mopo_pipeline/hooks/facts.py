"""What a run knows of itself beside its parameters: code, machine, time."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mopo_pipeline.parameters.changed import changed_parameters
from mopo_pipeline.parameters.report import RunFacts


def run_facts(
    record: Mapping[str, Any], command: str, earlier: Path, stages: Collection[str]
) -> RunFacts:
    """What the page says of the run.

    Args:
        record: of the run, as far as it is.
        command: that would do the same again.
        earlier: folder with the records of earlier runs, whose stages stand where this run made none.
        stages: that a page rests on; what a front or an export took is none of it.
    """
    seconds = stage_seconds([*_records(earlier), record], stages)
    own = set(record["nodes"])
    return RunFacts(
        started=record["started"],
        command=command,
        changed=changed_parameters(record["parameters"]),
        model=record["parameters"]["reference"]["model"],
        device=device(),
        commit=record["commit"],
        stage_seconds={
            name: round(sum(of_nodes.values()), 1) for name, of_nodes in seconds.items()
        },
        earlier=tuple(name for name, of_nodes in seconds.items() if set(of_nodes) - own),
    )


def device() -> str:
    """The GPU of this process where it has used PyTorch and there is one, else its processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return f"CPU, {os.cpu_count()} cores"


def commit_of(project: Path) -> str | None:
    """The commit of a project, ``-dirty`` where files differ from it; None outside of a repository or without git."""
    asked = ["git", "-C", str(project), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def stage_seconds(
    records: list[Mapping[str, Any]], stages: Collection[str]
) -> dict[str, dict[str, float]]:
    """Seconds by node of these stages in the order they ended, each node as in the last of these records that has it."""
    nodes: dict[str, float] = {}
    for record in records:
        nodes |= record.get("node_seconds", {})
    found: dict[str, dict[str, float]] = {}
    for name, seconds in nodes.items():
        if (stage := name.split(".", maxsplit=1)[0]) in stages:
            found[stage] = found.pop(stage, {}) | {name: seconds}
    return found


def _records(folder: Path) -> list[Mapping[str, Any]]:
    """Records of earlier runs, the oldest first; one that cannot be read is left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError:
            continue
    return found
