"""The command a user would type to go on, with the environment and the parameters of the run it follows."""

import json
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml

ALIKE = ("env", "conf_source")
"""Options of a run that its successor repeats as they are."""

ENDS = {"to_nodes": "to-nodes", "to_outputs": "to-outputs"}
"""Options that say where a run ends, by their names in Kedro's record."""

LIMITS = ENDS | {"tags": "tags", "node_names": "nodes", "namespaces": "namespaces"}
"""Options by which a run leaves out what it would do else."""

BEGINS = {"from_nodes": "from-nodes", "from_inputs": "from-inputs"}
"""Options that say where a run begins."""


def again(
    run: Mapping[str, Any],
    *options: str,
    pipelines: bool,
    parts: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """``kedro run`` with these options and what the run was given.

    Args:
        run: Kedro's record of the run.
        options: of the new one, first.
        pipelines: repeat ``--pipelines`` too.
        parts: options to repeat that choose parts of a pipeline, of ``LIMITS`` and ``BEGINS``.

    >>> again({"env": "mine", "runtime_params": {"plan": {"tau": 0.2}, "data_root": "my runs"}}, "--from-nodes=a.b", pipelines=True)
    "kedro run --from-nodes=a.b --env=mine '--params=plan.tau=0.2,data_root=my runs'"
    """
    words = ["kedro", "run", *options]
    words += [f"--{name.replace('_', '-')}={run[name]}" for name in ALIKE if run.get(name)]
    names = run.get("pipeline_names") or []
    if pipelines and names:
        words.append(f"--pipelines={','.join(names)}")
    words += [f"--{name}={','.join(run[key])}" for key, name in parts.items() if run.get(key)]
    given = run.get("runtime_params") or {}
    if given:
        words.append("--params=" + ",".join(f"{k}={_said(v)}" for k, v in _flat(given)))
    return shlex.join(words)


def _flat(given: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in given.items():
        name = f"{before}{key}"
        flat += _flat(value, f"{name}.") if _is_way(value) else [(name, value)]
    return flat


def _is_way(value: Any) -> bool:
    """Whether a table can be said by names with dots; one that is empty, or whose own keys have dots, is a value."""
    return isinstance(value, Mapping) and bool(value) and not any("." in str(k) for k in value)


def _said(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | Mapping) or (isinstance(value, str) and not _plain(value)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _plain(text: str) -> bool:
    """Whether a text is read as itself where it stands as a value without quotes."""
    try:
        return "," not in text and yaml.safe_load(text) == text
    except yaml.YAMLError:
        return False
