"""What a judge of the user's own rests on: its module and what that imports from beside it."""

import ast
import sys
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path

from mopo_pipeline.hooks.contents import Contents
from mopo_pipeline.source import OWN

SEPARATOR = ":"
"""Between module and name of a judge."""

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders whose modules do not belong together."""


def code_of_judge(value: str, contents: Contents) -> str | None:
    """A hash of the code that ``module:name`` names, with the name; None where it names none or none is found.

    Counted are the module, or the package it belongs to, and whatever of the same folder these import.
    """
    module, separator, _ = value.partition(SEPARATOR)
    start = _place(_top(module), sys.path) if separator else None
    if start is None:
        return None
    digests: dict[str, str | None] = {}
    queue = [start]
    while queue:
        place = queue.pop()
        digests[place.name] = contents.digest(place)
        found = (_place(name, [str(start.parent)]) for name in sorted(_imported(place)))
        installed = start.parent.name in INSTALLED
        queue += [other for other in found if other and not installed and other.name not in digests]
    told = sha256(repr(sorted(digests.items())).encode()).hexdigest()[:16]
    return f"{told} of {value}"


def _place(name: str, folders: list[str]) -> Path | None:
    """File or folder of a top-level module, found without importing it; None of this package, whose code counts anyway."""
    spec = None if name == OWN else PathFinder.find_spec(name, folders)
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return Path(next(iter(spec.submodule_search_locations)))
    return None if spec.origin is None else Path(spec.origin)


def _imported(place: Path) -> set[str]:
    """Top-level names of what a module, or every module of a package, imports."""
    found: set[str] = set()
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.Import):
                found |= {_top(alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(_top(node.module))
    return found


def _tree(file: Path) -> ast.Module:
    """A file's syntax; empty where it is no Python, which importing it will say."""
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]
