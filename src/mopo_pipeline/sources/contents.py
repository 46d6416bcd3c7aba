"""What a file's first bytes say it is, where that is not what its name says."""

import os
from pathlib import Path

from mopo_pipeline.columns import nearest
from mopo_pipeline.errors import InputError

BEGINNINGS = (
    (b"\x1f\x8b", "compressed by gzip", (".gz",)),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", (".zst",)),
    (b"PAR1", "parquet", (".parquet",)),
    (b"PK\x03\x04", "a zip archive, as spreadsheets are", ()),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet", ()),
    (b"ARROW1", "an Arrow file", ()),
    (b"SQLite format 3", "a database of SQLite", ()),
)
"""First bytes, what they are the first of, and the last suffixes that say so."""

POINTER = b"version https://git-lfs.github.com/"
PAGES = (b"<!doctype html", b"<html")
PACKED = (".gz", ".zst", ".parquet")
LOOKED_AT = 64


def refuse_other_content(path: str) -> None:
    """Refuse a local file whose first bytes belong to another format than its name.

    Raises:
        InputError: what the file is, and what to do.
    """
    with open(path, "rb") as file:
        start = file.read(LOOKED_AT)
    last = Path(path.lower()).suffix
    if start.startswith(POINTER):
        raise InputError(
            f"{path}: a pointer of git-lfs, not the file itself; get it with git lfs pull"
        )
    if start.lstrip().lower().startswith(PAGES):
        raise InputError(
            f"{path}: a web page, not data; the address it was saved from may need another link or a login"
        )
    for beginning, kind, suffixes in BEGINNINGS:
        if start.startswith(beginning):
            if last in suffixes:
                return
            remedy = f"let its name end in {suffixes[0]}" if suffixes else "save it as CSV, UTF-8"
            raise InputError(f"{path}: the file is {kind}, which its name does not say; {remedy}")
    if last in PACKED:
        raise InputError(
            f"{path}: cannot be read: the content is not what {last} says; give it the name of what it is"
        )


def no_such_file(path: str) -> InputError:
    """That there is none of this name, with what may have been meant."""
    folder = Path(path).parent
    hint = "check ingest.path and ingest.judgements_path"
    if path.startswith("~"):
        hint = "~ is not replaced; write the whole path"
    elif "*" in path:
        hint = "a path is one file; name several in ingest.parts"
    elif shut := [p for p in Path(path).parents if os.path.isdir(p) and not os.access(p, os.X_OK)]:
        hint = f"the folder {shut[0]} may not be entered: ask whose it is"
    elif os.path.isdir(folder):
        meant = nearest(Path(path).name, sorted(f.name for f in folder.iterdir()))
        hint += meant
    return InputError(f"{path}: no such file; {hint}")
