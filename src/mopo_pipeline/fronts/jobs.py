"""A job is a run of its own: a folder with the shared artifacts, a file of parameters, and how it ended."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.front import SweepRun
from mopo_pipeline.parameters.train import TrainParams

CONFIG, LOG = "run.yml", "run.log"
SIDECAR = ".fingerprint.json"
ERROR = "Error: "
DONE, FAILED = "done", "failed"

LONGEST = 200
"""Bytes of a folder's name; file systems take 255."""

UPSTREAM = ("ingest.", "preferences.", "reference.", "evaluate.fit_evaluation_model")
"""Begins of the names of nodes whose artifacts no threshold moves."""


def check_trains(train: TrainParams) -> None:
    """Refuse a sweep whose every run would take one policy from elsewhere.

    Raises:
        InputError: says what to leave out.
    """
    if train.policy is not None:
        raise InputError(
            f"train.policy is {train.policy}, which every run of this sweep would take as it is: leave it out, or run "
            "kedro run without --pipelines"
        )


@dataclass(frozen=True)
class Job:
    """A run with parameters of its own.

    Attributes:
        name: unique in its sweep.
        folder: data root of the run.
        params: overrides, nested, beside those of the run that sweeps.
        pipelines: that are run.
        start: the job whose policy this one starts from; None is the reference.
        steps: of training, where it starts from a policy; None takes all.
        upstream: begins of the names of nodes whose artifacts are those of the run that sweeps; none shares nothing.
    """

    name: str
    folder: Path
    params: Mapping[str, Any]
    pipelines: tuple[str, ...] = ("train", "evaluate")
    start: str | None = None
    steps: int | None = None
    upstream: tuple[str, ...] = UPSTREAM

    def shares(self, node: str) -> bool:
        """Whether the artifacts of a node are those of the run that sweeps."""
        return node.startswith(self.upstream) if self.upstream else False


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        name: of the job.
        status: "done" or "failed".
        reason: why it failed, in a line.
        folder: data root of the run.
        start: the job whose policy it started from; None is the reference.
        seconds: of training, as the run recorded them.
    """

    name: str
    status: str
    reason: str
    folder: str
    start: str | None = None
    seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def folder_name(name: str) -> str:
    """A name that neither a shell nor Kedro's command line takes apart, and no file system finds too long.

    >>> folder_name("harmlessness=0.500,conciseness=0.450")
    'harmlessness-0.500_conciseness-0.450'
    """
    plain = name.replace("=", "-").replace(",", "_").replace("/", "-").replace(" ", "-")
    if len(plain.encode()) <= LONGEST:
        return plain
    return f"{plain.encode()[: LONGEST - 9].decode(errors='ignore')}-{digest_of(name)}"


def digest_of(name: str) -> str:
    """Eight hex digits that tell a name from others whose folder would be called alike."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested parameters, those of ``over`` winning.

    >>> merged({"train": {"fit": {"steps": 9}}, "a": 1}, {"train": {"start": "x"}})
    {'train': {'fit': {'steps': 9}, 'start': 'x'}, 'a': 1}
    """
    made = dict(base)
    for key, value in over.items():
        old = made.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        made[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return made


def write_config(job: Job, run: SweepRun, params: Mapping[str, Any]) -> list[str]:
    """Write a job's ``run.yml``; the command that runs it, and by which a user goes on with it."""
    asked = merged(run.params, merged(job.params, params))
    settings: dict[str, Any] = {
        "pipelines": ",".join(job.pipelines),
        "conf_source": run.conf_source,
        "params": asked | {"data_root": str(job.folder.resolve())},
    }
    if run.environment is not None:
        settings["env"] = run.environment
    job.folder.mkdir(parents=True, exist_ok=True)
    place = job.folder / CONFIG
    place.write_text(yaml.safe_dump({"run": settings}, sort_keys=False), encoding="utf-8")
    return ["-m", "kedro", "run", f"--config={place.resolve()}", "--only-missing-outputs"]


def share(root: Path, folder: Path, shared: Callable[[str], bool]) -> None:
    """Link artifacts of ``root`` into ``folder``, fingerprints included, where ``shared`` says so of the node that made them.

    Artifacts appear whole or not at all, by renaming, so no run ever writes into a linked file.
    """
    for sidecar in sorted(root.glob(f"*/.*{SIDECAR}")):
        text = sidecar.read_text(encoding="utf-8")
        target = folder / sidecar.parent.name
        if not shared(_maker(text)):
            continue
        place = target / sidecar.name
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            continue
        target.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        for artifact in _artifacts(sidecar):
            _linked(artifact, target / artifact.name)
        place.write_text(text, encoding="utf-8")


def forget(folder: Path, shared: Callable[[str], bool]) -> None:
    """Remove what a job made itself; its training's checkpoints stay, and are taken again where they still fit."""
    for sidecar in sorted(folder.glob(f"*/.*{SIDECAR}")):
        if shared(_maker(sidecar.read_text(encoding="utf-8"))):
            continue
        for artifact in _artifacts(sidecar):
            shutil.rmtree(artifact) if artifact.is_dir() else artifact.unlink()
        sidecar.unlink()


def _maker(sidecar: str) -> str:
    """The node that made an artifact, by its fingerprint's text; empty where that was cut short."""
    try:
        return str(json.loads(sidecar)["node"])
    except (ValueError, KeyError):
        return ""


def failure(code: int, log: Path) -> str:
    """Why a job failed, in a line: what its run says, or what ended it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    said = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    if said:
        return said[-1]
    ended = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no word")
    return f"{ended}, last words: {last[:200]} (all of them in {log})"


def _artifacts(sidecar: Path) -> list[Path]:
    """The file or folder beside its fingerprint."""
    name = sidecar.name[1 : -len(SIDECAR)]
    whole = sidecar.parent / name
    found = [whole] if whole.is_dir() else sorted(sidecar.parent.glob(f"{name}.*"))
    return [path for path in found if not path.name.endswith(".tmp")]


def _linked(source: Path, target: Path) -> None:
    """A hard link, or a copy where there is none between the two places."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
