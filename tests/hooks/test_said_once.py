"""What a user can mend is said once, and ends the command with 2."""

import logging
from pathlib import Path

import click
import pytest

from conftest import kedro
from mopo_pipeline.errors import InputError
from mopo_pipeline.hooks.guard import one_line
from mopo_pipeline.hooks.said_once import REPEATS, say_once


def test_data_and_parameters_end_a_command_with_2_and_all_else_with_1() -> None:
    with click.Context(click.Command("run")):
        shown = [one_line(error) for error in (InputError("row 3: no label"), OSError("disk full"))]
    assert [getattr(error, "exit_code", None) for error in shown] == [2, 1]


@pytest.mark.parametrize(
    ("error", "told"),
    [(InputError("row 3"), []), (KeyError("x"), ["Node n failed with error", "No nodes ran. Rep"])],
)
def test_the_log_is_silent_about_a_users_error_alone(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    told: list[str],
) -> None:
    for name in REPEATS:  # whatever a session in this process has configured
        caplog.set_level(logging.INFO, name)
        for logger in (logging.getLogger(name), logging.getLogger("kedro")):
            monkeypatch.setattr(logger, "propagate", True)
            monkeypatch.setattr(logger, "disabled", False)
    say_once()
    say_once()
    try:
        raise error
    except type(error):
        logging.getLogger(REPEATS[0]).error("Node %s failed with error", "n")
        logging.getLogger(REPEATS[2]).warning("No nodes ran. Rep")
    assert [record.getMessage() for record in caplog.records] == told


@pytest.mark.slow
def test_a_bad_file_is_one_line_of_a_run_and_its_exit_code_is_2(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("prompt;response\n")
    given = f"--params=ingest.source=files,ingest.path={tmp_path / 'd.csv'}"
    done = kedro("--pipelines=ingest", given, data_root=tmp_path / "data")
    assert done.returncode == 2
    assert (done.stdout + done.stderr).count("separated by ';'") == 1
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1
