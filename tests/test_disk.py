"""A disk that is full ends a run with one line that says which folder wants room; texts appear whole or not at all."""

import os
import sqlite3
from pathlib import Path

import pytest

from mopo_pipeline.disk import disk_error, disk_full, write_text
from mopo_pipeline.errors import InputError

NO_SPACE = OSError(28, "No space left on device")


def raised_from(cause: Exception) -> Exception:
    """What Kedro makes of an error while it saves: one of its own, without a number."""
    try:
        raise RuntimeError("Failed while saving data to dataset") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (NO_SPACE, True),
        (OSError(122, "Disk quota exceeded"), True),
        (raised_from(NO_SPACE), True),
        (
            RuntimeError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
            True,
        ),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (OSError(13, "Permission denied"), False),
        (InputError("no space left on device"), False),
    ],
)
def test_a_full_disk_is_known_however_a_library_says_it(error: Exception, full: bool) -> None:
    assert disk_full(error) is full


def test_the_folders_that_a_run_writes_to_are_named_with_their_room(tmp_path: Path) -> None:
    told = str(disk_error("ingest", raised_from(NO_SPACE), [tmp_path / "to/come", Path("/")]))
    assert told.startswith("ingest: no space left on the disk of ")
    assert f"{tmp_path}/to/come (" in told
    assert "\n" not in told


def test_the_folder_of_the_file_is_named_where_the_system_names_it(tmp_path: Path) -> None:
    error = OSError(28, "No space left on device", str(tmp_path / "a.json"))
    told = str(disk_error("", raised_from(error), [Path("/")]))
    assert told.startswith(f"no space left on the disk of {tmp_path} (")


def test_a_text_that_could_not_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "in/a.json", "old")

    def full(*_: object) -> None:
        raise NO_SPACE

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "in/a.json", "new")
    assert [p.read_text() for p in (tmp_path / "in").iterdir()] == ["old"]
