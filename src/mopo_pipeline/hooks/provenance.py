"""Where an artifact comes from: a fingerprint of what makes it and of all its inputs, and how two of them differ.

A fingerprint is a hash of the node that makes the artifact, the code and package versions the node rests on, the
parameters it reads, what lies in the files and models they name, and the fingerprints of its inputs, over the whole
pipeline.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from mopo_pipeline.hooks.contents import Contents
from mopo_pipeline.hooks.paths import content
from mopo_pipeline.parameters.fit import FIT_WITHOUT_EFFECT
from mopo_pipeline.pipelines.stage import THRESHOLDS, has_effect, reads
from mopo_pipeline.source import code_of

WITHOUT_EFFECT = FIT_WITHOUT_EFFECT | {
    "work_dir", "data_root", "workers", "batch_tokens", "cache", "timeout", "retries", "at_once", "key_variable",
}  # fmt: skip
"""Last keys of parameters that say where, how fast or how often, not what."""

WITHOUT_EFFECT_BY_NAME = frozenset(
    {
        "report.path",
        "report.environment",
        "report.seconds",
        "report.command",
        "report.stages",
        "report.trained",
        "export.path",
    }
)

EXECUTOR = "front.executor."
"""Begin of the names of parameters that say where whole runs are carried out."""

SHOWN_CHANGES, UNSET = 3, "unset"


@dataclass(frozen=True)
class Provenance:
    """Where an artifact comes from, itself and all its inputs.

    Attributes:
        node: that makes it.
        fingerprint: of everything below but versions, of the node and of its inputs.
        parameters: that went into it.
        code: digests by module.
        versions: of packages.
    """

    node: str
    fingerprint: str
    parameters: dict[str, Any]
    code: dict[str, str]
    versions: dict[str, str]


def difference(before: dict[str, Any], now: Provenance) -> str | None:
    """How an artifact's record differs from what would be made now; None where it doesn't.

    A package that was not installed made nothing: what was made without it stands when it is there.
    """
    if not before.get("fingerprint"):
        return "carries no fingerprint of what made it"
    versions = before.get("versions", {})
    there = {name: version for name, version in now.versions.items() if name in versions}
    if before["fingerprint"] == now.fingerprint and versions == there:
        return None
    changes = []
    for old, new in ((before.get("parameters", {}), now.parameters), (versions, there)):
        changes += [
            f"{key}={old.get(key, UNSET)} and now is {new.get(key, UNSET)}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key, {}) != new.get(key, {})  # an empty table is none
        ]
    old_code = before.get("code", {})
    code = old_code.keys() | now.code.keys()
    changed = sorted(key for key in code if old_code.get(key) != now.code.get(key))
    if changed:
        changes.append(f"other code ({first_few(changed, ', ')})")
    if not changes:
        return "was made from other inputs"
    return f"was made with {first_few(changes, '; ')}"


def trace(
    nodes: Iterable[Any], parameters: dict[str, Any], contents: Contents
) -> dict[str, Provenance]:
    """Return the provenance of every output of ``nodes``, which come in topological order."""
    made: dict[str, Provenance] = {}
    for node in nodes:
        inputs = [name for name in node.inputs if has_effect(node, name)]
        read: dict[str, Any] = {}
        for name in inputs:
            if name.startswith("params:"):
                group = name.removeprefix("params:")
                whole = THRESHOLDS in node.tags
                values = _as_read(group, parameters[group], contents, thresholds=whole)
                read |= {key: value for key, value in values.items() if reads(node, key)}
        code = code_of(node.func)
        sources = {name: made[name] for name in inputs if name in made}
        prints = {name: source.fingerprint for name, source in sources.items()}
        told = json.dumps([node.name, code.text_digest, read, prints], sort_keys=True)
        provenance = Provenance(
            node.name,
            sha256(told.encode()).hexdigest()[:16],
            _union(*(source.parameters for source in sources.values()), read),
            _union(*(source.code for source in sources.values()), code.modules),
            _union(*(source.versions for source in sources.values()), code.versions),
        )
        made |= dict.fromkeys(node.outputs, provenance)
    return made


def _union(*tables: dict[str, Any]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}


def _as_read(
    group: str, values: dict[str, Any], contents: Contents, *, thresholds: bool
) -> dict[str, Any]:
    """What a node reads of a group, by full name, without what has no effect on a result.

    A file or model that lies on this machine counts by its content, not by its place.
    """
    if group == "task" and not thresholds:
        names = [objective["name"] for objective in values["objectives"]]
        values = {"seed": values["seed"], "objective_names": names}
    read: dict[str, Any] = {}
    for key, value in _flatten(group, values).items():
        parts = tuple(key.split("."))
        placed = key.startswith(EXECUTOR)
        if placed or parts[-1] in WITHOUT_EFFECT or key in WITHOUT_EFFECT_BY_NAME:
            continue
        found = content(parts, value, contents)
        read |= {key: value} if found is None else {f"{key} content": found}
    return read


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flatten(f"{prefix}.{key}", inner)
    return flat


def first_few(items: list[str], separator: str) -> str:
    """The first of them, and how many more there are.

    >>> first_few(["a", "b", "c", "d"], ", ")
    'a, b, c, and 1 more'
    """
    more = len(items) - SHOWN_CHANGES
    shown = separator.join(items[:SHOWN_CHANGES])
    return f"{shown}{separator}and {more} more" if more > 0 else shown
