"""What files and model directories hold, as hashes; a large file is read again only when it changed."""

import json
import os
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path

from mopo_pipeline.disk import write_text
from mopo_pipeline.language.loading import CONTENT

SMALL = 1 << 20
"""Bytes up to which a file is read every time: a clock too coarse to show a change costs nothing here."""

COUNTED = CONTENT | {".arrow", ".parquet", ".csv", ".jsonl", ".yaml", ".yml", ".py"}
"""Suffixes of what decides in a folder: models, tables, tasks of the evaluation harness, code; no cards, no logs."""

Known = dict[str, tuple[int, int, str]]


class Contents:
    """Hashes of contents, kept in ``memo`` with size and time of change of what they are of."""

    def __init__(self, memo: Path) -> None:
        self._memo = memo
        self._known = _read(memo)

    def digest(self, path: Path) -> str | None:
        """A hash of a file, or of the files of a directory that decide; None where nothing is, or nothing may be read."""
        try:
            return self._of(path)
        except PermissionError:
            return None

    def _of(self, path: Path) -> str | None:
        if os.path.isfile(path):
            return self._of_file(path)
        if not os.path.isdir(path):
            return None
        digest = sha256()
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") for part in inside.parts)
            if file.suffix in COUNTED and not hidden and file.is_file():
                digest.update(f"{inside.as_posix()} {self._of_file(file)}\n".encode())
        return digest.hexdigest()[:16]

    def _of_file(self, path: Path) -> str:
        state = path.stat()
        large = state.st_size > SMALL
        key = self._key(path)
        if large and (known := self._known.get(key)) is not None:
            size, changed, digest = known
            if (size, changed) == (state.st_size, state.st_mtime_ns):
                return digest
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()[:16]
        if large:
            self._known[key] = (state.st_size, state.st_mtime_ns, digest)
            self._write()
        return digest

    def _key(self, path: Path) -> str:
        """Relative to the memo's folder where it lies within, so that the folder can be moved."""
        absolute, root = path.absolute(), self._memo.parent.absolute()
        return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)

    def _write(self) -> None:
        """Keep what is known, where there is room: a memo that is not written costs time alone."""
        with suppress(OSError):
            write_text(self._memo, json.dumps(self._known, indent=1))


def _read(memo: Path) -> Known:
    try:
        stored = json.loads(memo.read_text(encoding="utf-8"))
        return {
            key: (int(size), int(time), str(digest)) for key, (size, time, digest) in stored.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
