"""Artifacts carry the fingerprint of what made them, so that old and new are never mixed.

An artifact's fingerprint is a hash of the node that makes it, the parameters the node reads and the
fingerprints of its inputs, over the whole pipeline. It lies beside the artifact in
``.<name>.fingerprint.json``. A run that loads an artifact it doesn't make compares the two.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.parameters.groups import GROUPS, validate_parameters

ORDER_ONLY = {
    ("train_reference", name) for name in ("training_plan", "params:train", "params:evaluate")
}
"""Inputs without effect on the result: the reference is trained after the plan, not from it, and once
the policy's and the evaluation's parameters are known to be usable."""

READS_THRESHOLDS = "plan_training"
"""The node at which thresholds enter; nodes before it depend on objective names and seed alone."""

WITHOUT_EFFECT = ("path", "work_dir")
"""Keys of what a stage writes: where it lies, not what it is."""

SHOWN_CHANGES = 3


@dataclass(frozen=True)
class Provenance:
    """Where an artifact comes from: its fingerprint and every parameter that went into it."""

    node: str
    fingerprint: str
    parameters: dict[str, Any]


class FingerprintHook:
    """Writes fingerprints when artifacts are saved and compares them before a run."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._expected: dict[str, Provenance] = {}
        self._catalog: Any = None

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the resolved parameters."""
        given = {name: value for name, value in context.params.items() if name in GROUPS}
        self._parameters = validate_parameters(given)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Compare every artifact this run would take as it is with what would be made now.

        Raises:
            InputError: an artifact was made otherwise than this run would make it, or carries no
                fingerprint; the message names it, what changed and the command that remakes it.
        """
        from kedro.framework.project import pipelines

        whole = pipelines["__default__"] + pipeline
        self._catalog = catalog
        self._expected = trace(whole.nodes, self._parameters)
        taken = pipeline.datasets() if run_params["only_missing_outputs"] else pipeline.inputs()
        stale = [name for name in self._expected if name in taken and self._differs(name)]
        if stale:
            raise one_line(InputError(self._explain(stale[0], whole.nodes)))

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Withdraw the fingerprint while the artifact is being replaced."""
        if path := self._sidecar(dataset_name):
            path.unlink(missing_ok=True)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Write the fingerprint of an artifact that is complete."""
        if path := self._sidecar(dataset_name):
            made = self._expected[dataset_name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(made.__dict__, indent=2) + "\n", encoding="utf-8")

    def _sidecar(self, name: str) -> Path | None:
        if name not in self._expected:
            return None
        filepath = getattr(self._catalog.get(name), "_filepath", None)
        if filepath is None:
            return None
        return Path(filepath).parent / f".{name}.fingerprint.json"

    def _stored(self, name: str) -> dict[str, Any]:
        path = self._sidecar(name)
        if path is None or not path.is_file():
            return {}
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return stored

    def _differs(self, name: str) -> bool:
        if self._sidecar(name) is None or not self._catalog.exists(name):
            return False
        return self._stored(name).get("fingerprint") != self._expected[name].fingerprint

    def _explain(self, name: str, nodes: Iterable[Any]) -> str:
        before, now = self._stored(name), self._expected[name]
        old = before.get("parameters", {})
        changes = [
            f"{key}={old.get(key)} and now is {now.parameters.get(key)}"
            for key in sorted(old.keys() | now.parameters.keys())
            if old.get(key) != now.parameters.get(key)
        ]
        reason = (
            f"was made with {'; '.join(changes[:SHOWN_CHANGES])}"
            if old and changes
            else "carries no fingerprint of what made it"
        )
        if (more := len(changes) - SHOWN_CHANGES) > 0 and old:
            reason += f"; and {more} more"
        first = next(
            node.name for node in nodes if any(self._differs(output) for output in node.outputs)
        )
        return (
            f"{name} {reason}: run `kedro run --from-nodes={first}` to remake it and what follows "
            "(with the same --env and --params), or go back to the old value"
        )


def trace(nodes: Iterable[Any], parameters: dict[str, Any]) -> dict[str, Provenance]:
    """Return the provenance of every output of ``nodes``, which come in topological order."""
    made: dict[str, Provenance] = {}
    for node in nodes:
        inputs = [name for name in node.inputs if (node.name, name) not in ORDER_ONLY]
        read: dict[str, Any] = {}
        for name in inputs:
            if name.startswith("params:"):
                group = name.removeprefix("params:")
                read |= _flatten(group, _as_read(node.name, group, parameters[group]))
        sources = {name: made[name].fingerprint for name in inputs if name in made}
        content = json.dumps([node.name, read, sources], sort_keys=True)
        fingerprint = sha256(content.encode()).hexdigest()[:16]
        inherited: dict[str, Any] = {}
        for name in sources:
            inherited |= made[name].parameters
        for output in node.outputs:
            made[output] = Provenance(node.name, fingerprint, inherited | read)
    return made


def _as_read(node: str, group: str, values: dict[str, Any]) -> dict[str, Any]:
    if group == "task" and node != READS_THRESHOLDS:
        names = [objective["name"] for objective in values["objectives"]]
        return {"seed": values["seed"], "objective_names": names}
    if group == "ingest":
        return values | {
            f"{key} content": _digest(Path(value))
            for key, value in values.items()
            if key.endswith("path") and value is not None
        }
    return {key: value for key, value in values.items() if key not in WITHOUT_EFFECT}


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:16]


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flatten(f"{prefix}.{key}", inner)
    return flat
