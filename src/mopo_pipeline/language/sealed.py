"""Directories that were written to their end, and how that is known."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

MANIFEST = "manifest.json"
"""Written last; names every file beside it and its size."""


_HANDED_OVER: list[TemporaryDirectory[str]] = []


def handed_over(prefix: str, within: Path | None = None) -> Path:
    """An empty directory for what a function gives away as a path: readers copy it, the process removes it at its end."""
    made = TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True)
    _HANDED_OVER.append(made)
    return Path(made.name)


def apply_umask(directory: Path) -> None:
    """Give a directory the permissions the user's umask says; libraries write theirs for the owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (directory, *directory.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def seal(directory: Path) -> None:
    """Write the manifest of a directory that is complete, readable for whom the user lets read."""
    apply_umask(directory)
    sizes = {
        str(p.relative_to(directory)): p.stat().st_size
        for p in sorted(directory.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    (directory / MANIFEST).write_text(json.dumps(sizes, indent=1), encoding="utf-8")


def damage(directory: Path) -> str | None:
    """What is wrong with a sealed directory, or None.

    A process that dies while writing leaves no manifest; a machine that dies may leave files shorter
    than the manifest says.
    """
    try:
        sizes = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was not written to its end"
    for name, size in sizes.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes of {size}"
    return None
