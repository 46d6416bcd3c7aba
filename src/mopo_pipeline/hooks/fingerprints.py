"""Artifacts carry the fingerprint of what made them, so that old and new are never mixed.

It lies beside the artifact in ``.<name>.fingerprint.json``, with a hash of the artifact itself. A run that loads an
artifact it doesn't make compares both.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from mopo_pipeline.disk import write_text
from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.command import ENDS, again
from mopo_pipeline.hooks.contents import Contents
from mopo_pipeline.hooks.guard import data_root, one_line
from mopo_pipeline.hooks.provenance import Provenance, difference, first_few, trace
from mopo_pipeline.hooks.runs import PAGE, tell
from mopo_pipeline.parameters.groups import GROUPS, validate_parameters

MEMO = ".contents.json"


class FingerprintHook:
    """Writes fingerprints when artifacts are saved and compares them before a run."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._expected: dict[str, Provenance] = {}
        self._contents = Contents(Path(MEMO))
        self._catalog: Any = None
        self._run: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remember the resolved parameters and where contents are kept in mind."""
        self._contents = Contents(data_root(context) / MEMO)
        given = {name: value for name, value in context.params.items() if name in GROUPS}
        self._parameters = validate_parameters(given)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Compare every artifact this run would take as it is with what would be made now.

        Raises:
            InputError: an artifact was not made yet, was made otherwise than this run would make it, was changed since,
                or carries no fingerprint; the message names it, what changed and the command that
                remakes it.
        """
        from kedro.framework.project import pipelines

        self._run = run_params
        whole = pipelines["__default__"] + pipeline
        self._catalog = catalog
        self._expected = trace(whole.nodes, self._parameters, self._contents)
        taken = pipeline.datasets() if run_params["only_missing_outputs"] else pipeline.inputs()
        if not run_params["only_missing_outputs"]:
            self._refuse_missing(taken, whole)
        stale = [name for name in self._expected if name in taken and self._differs(name)]
        if stale:
            raise one_line(InputError(self._explain(stale[0])))

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Withdraw the fingerprint while the artifact is being replaced; who makes it stays known, should the run be killed."""
        if path := self._sidecar(dataset_name):
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, {"node": self._expected[dataset_name].node})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Write the fingerprint of an artifact that is complete."""
        if path := self._sidecar(dataset_name):
            made = asdict(self._expected[dataset_name])
            made["content"] = self._content(dataset_name)
            _replace(path, made)

    @hook_impl
    def after_pipeline_run(self, pipeline: Any) -> None:
        """Say which page is of an earlier run: nothing is made of a page, so that no later run would compare it."""
        from kedro.framework.project import pipelines

        whole = pipelines["__default__"]
        for name in sorted(whole.all_outputs() - pipeline.all_outputs()):
            place = self._place(name)
            if place is not None and place.suffix == PAGE and self._differs(name):
                first = self._first_stale(whole)
                command = again(self._run, f"--from-nodes={','.join(first)}", pipelines=False)
                tell(f"{place} shows what was there before: `{command}` makes it again")

    def _refuse_missing(self, taken: set[str], whole: Any) -> None:
        """Say which command makes what a run takes and nobody has made yet."""
        made = [name for name in self._expected if self._sidecar(name) is not None]
        absent = {name for name in made if not self._catalog.exists(name)}
        if not (needed := sorted(absent & taken)):
            return
        before = whole.to_outputs(*needed)
        left = [node.name for node in before.nodes if absent.intersection(node.outputs)]
        first = sorted(node.name for node in before.only_nodes(*left).grouped_nodes[0])
        every = len(left) == len(before.nodes)
        command = "kedro run" if every else f"kedro run --from-nodes={','.join(first)}"
        if not every and whole.from_nodes(*first).inputs() & absent:
            makers = sorted(node.name for node in before.nodes if set(node.outputs) & set(needed))
            command += f" --to-nodes={','.join(makers)}"
        raise one_line(
            InputError(
                f"{needed[0]} has not been made yet{_and_more(needed)}: run `{command}` first (with the same --env and "
                "--params)"
            )
        )

    def _sidecar(self, name: str) -> Path | None:
        place = self._place(name)
        return None if place is None else place.parent / f".{name}.fingerprint.json"

    def _place(self, name: str) -> Path | None:
        if name not in self._expected:
            return None
        filepath = getattr(self._catalog.get(name), "_filepath", None)
        return None if filepath is None else Path(filepath)

    def _content(self, name: str) -> str | None:
        place = self._place(name)
        return None if place is None else self._contents.digest(place)

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
        stored = self._stored(name)
        if difference(stored, self._expected[name]) is not None:
            return True
        return stored.get("content") != self._content(name)

    def _explain(self, name: str) -> str:
        made = self._expected[name].node
        reason = difference(self._stored(name), self._expected[name])
        if reason is None:
            place = self._place(name)
            reason, back = f"is not what {made} left in {place}", "put back what lay there"
        else:
            back = "go back to the old value"
        return f"{name} {reason}: run `{self._remake()}` to remake it and what follows, or {back}"

    def _remake(self) -> str:
        """The command that remakes what is stale of the pipelines that were asked for, or of all where these take more of it."""
        from kedro.framework.project import pipelines

        names = self._run.get("pipeline_names") or ["__default__"]
        ends = {key: self._run[key] for key in ENDS if self._run.get(key)}
        asked = sum((pipelines[name] for name in names), Pipeline([])).filter(**ends)
        if any(self._differs(name) for name in asked.inputs()):
            first = self._first_stale(pipelines["__default__"])
            return again(self._run, f"--from-nodes={','.join(first)}", pipelines=False)
        first = self._first_stale(asked)
        return again(self._run, f"--from-nodes={','.join(first)}", pipelines=True, parts=ENDS)

    def _first_stale(self, pipeline: Pipeline) -> list[str]:
        """Nodes from which on everything stale is remade: those of stale artifacts that lie behind no other one."""
        first, behind = [], set[str]()
        for node in pipeline.nodes:
            follows = not behind.isdisjoint(node.inputs)
            if not follows and any(self._differs(name) for name in node.outputs):
                first.append(node.name)
            if follows or node.name in first:
                behind.update(node.outputs)
        return first


def _replace(path: Path, facts: dict[str, Any]) -> None:
    """Write a file of facts, whole or not at all."""
    write_text(path, json.dumps(facts, indent=2) + "\n")


def _and_more(items: list[str]) -> str:
    return f", nor {first_few(items[1:], ', ')}" if len(items) > 1 else ""
