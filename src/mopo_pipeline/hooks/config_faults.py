"""What is wrong with the files of a configuration, by file and line: Kedro's loader names one or the other."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

READ = ("parameters", "globals", "catalog", "credentials")
"""How the names of files begin that are read."""

TABLE, LIST, VALUE = "a table of names and values", "a list", "one value"
COMMAND = "--params"


def configuration_fault(folders: list[Path], given: Mapping[str, Any]) -> str | None:
    """The first fault of files and of parameters of the command line, in one line; None where there is none.

    Args:
        folders: of the base and of the environment, in the order in which they are merged.
        given: parameters of the command line.
    """
    read: list[tuple[str, Any]] = []
    for file in (file for folder in folders for file in _files(folder)):
        try:
            loaded = OmegaConf.load(file)
        except YAMLError as error:
            return f"{file}: {_told(error, file)}"
        except (OmegaConfBaseException, OSError, ValueError) as error:
            return f"{file}: {str(error).splitlines()[0]}"
        if not isinstance(loaded, DictConfig):
            return f"{file}: holds no names with values, such as plan: {{tau: 0.1}}"
        read.append((str(file), OmegaConf.to_container(loaded, resolve=False)))
    read.append((COMMAND, dict(given)))
    return next(_clashes(read), None)


def _files(folder: Path) -> list[Path]:
    """Files of a folder that are read."""
    found = sorted(folder.rglob("*")) if folder.is_dir() else []
    return [f for f in found if f.suffix in (".yml", ".yaml") and f.name.startswith(READ)]


def _told(error: YAMLError, file: Path) -> str:
    """Line, column and problem of a file that is no YAML."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None:
        return str(error).splitlines()[0]
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    hint = (
        "; indent with spaces, not with a tab"
        if line[mark.column : mark.column + 1] == "\t"
        else ""
    )
    problem = error.problem if isinstance(error, MarkedYAMLError) else None
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem or 'no YAML'}{hint}"


def _clashes(read: list[tuple[str, Any]]) -> Iterator[str]:
    """Places that one layer says a table stands at and a later one that none does, by the names of both."""
    kinds: dict[str, tuple[str, str]] = {}
    for where, content in read:
        for name, kind in _kinds(content, ""):
            before, first = kinds.setdefault(name, (kind, where))
            if (before == TABLE) == (kind == TABLE):
                continue
            if where == COMMAND and kind == TABLE:
                other = (
                    "; thresholds are set by plan.thresholds.<name>"
                    if name == "task.objectives"
                    else ""
                )
                yield f"{name} is {before} in {first}, of which {COMMAND} can set no part{other}"
            yield f"{where}: {name} is {kind}, but {before} in {first}; write it as it is there"


def _kinds(content: Any, before: str) -> Iterator[tuple[str, str]]:
    """Full names of all that is said, and what stands there; null says nothing of it."""
    for key, value in content.items():
        name, table = f"{before}{key}", isinstance(value, Mapping)
        if value is not None:
            yield name, TABLE if table else LIST if isinstance(value, list) else VALUE
        if table:
            yield from _kinds(value, f"{name}.")
