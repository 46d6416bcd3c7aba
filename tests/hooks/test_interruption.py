"""Signals that end a run: what must be told is told to the end, and then the signal is obeyed."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.pipeline import Node, Pipeline

from conftest import PROJECT
from mopo_pipeline.errors import abort_in_one_line
from mopo_pipeline.hooks.runs import RunLogHook, _here
from mopo_pipeline.hooks.signals import SIGNALS, Interruption


def in_force() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """As in a terminal, also where the tests run in the background."""
    before = in_force()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("second", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("first", "ends"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["Ctrl-C", "scheduler"],
)
def test_a_second_signal_does_not_cut_short_what_the_first_one_is_telling(
    first: signal.Signals, ends: type[BaseException], second: signal.Signals
) -> None:
    said, before = [], in_force()

    def told(name: str) -> None:
        signal.raise_signal(second)
        said.append(name)

    interruption = Interruption(told)
    interruption.expect()
    try:
        with pytest.raises(ends):
            signal.raise_signal(first)
        assert said == [first.name]
        assert in_force() == before
    finally:
        interruption.forget()


@pytest.mark.parametrize("ignored", SIGNALS, ids=lambda number: number.name)
def test_a_signal_that_was_ignored_before_the_run_stays_ignored(ignored: signal.Signals) -> None:
    signal.signal(ignored, signal.SIG_IGN)
    said: list[str] = []
    interruption = Interruption(said.append)
    interruption.expect()
    signal.raise_signal(ignored)
    assert said == []
    [other] = set(SIGNALS) - {ignored}
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        signal.raise_signal(other)
    assert said == [other.name]
    assert signal.getsignal(ignored) is signal.SIG_IGN


def test_ctrl_c_that_nobody_catches_is_one_line_and_an_error_is_told_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: told.append(kind))
    abort_in_one_line()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert (capsys.readouterr().err.split(), told) == (["Aborted!"], [])
    sys.excepthook(ValueError, ValueError("no"), None)
    assert told == [ValueError]


def test_the_settings_see_to_it_before_what_takes_seconds_to_import() -> None:
    lines = (PROJECT / "src/mopo_pipeline/settings.py").read_text(encoding="utf-8").splitlines()
    begun = [line for line in lines if line.startswith(("from ", "import ", "abort_"))]
    assert begun[0] == "from mopo_pipeline.errors import abort_in_one_line"
    assert begun[1].startswith("abort_in_one_line()")


@pytest.mark.parametrize(
    ("number", "ends"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["Ctrl-C", "scheduler"],
)
def test_a_signal_lost_in_other_people_s_code_ends_the_run_before_its_next_node(
    number: signal.Signals, ends: type[BaseException], tmp_path: Path
) -> None:
    """In a finaliser, or between ``try: import …`` and a bare ``except:``, the exception goes no further."""

    class Finalised:
        def __del__(self) -> None:
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                signal.raise_signal(number)

    hook = RunLogHook()
    hook._folder, hook._record = tmp_path, {"run_id": "one", "finished_nodes": [], "nodes": ["a"]}
    hook._pipeline, hook._at = Pipeline([]), _here()
    node = Node(lambda: 1, None, "one", name="a")
    hook._interruption.expect()
    try:
        hook.before_node_run(node, {})
        del (lost := [Finalised()])[0]
        assert not lost
        for boundary in (
            lambda: hook.before_node_run(node, {}),
            lambda: hook.after_dataset_saved("one"),
        ):
            with pytest.raises(ends):
                boundary()
    finally:
        hook._interruption.forget()


def test_a_process_forked_for_a_node_obeys_and_tells_nothing(tmp_path: Path) -> None:
    def told(name: str) -> None:
        (tmp_path / "told").write_text(name)

    interruption = Interruption(told)
    interruption.expect()
    try:
        child = os.fork()
        if child == 0:
            try:
                signal.raise_signal(signal.SIGTERM)
            except SystemExit as ends:
                os._exit(int(str(ends)) % 256)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM
        assert not (tmp_path / "told").exists()
    finally:
        interruption.forget()


def test_what_a_library_makes_of_a_signal_is_an_interruption_and_no_failure(
    tmp_path: Path,
) -> None:
    hook = RunLogHook()
    hook._folder, hook._record = tmp_path, {"run_id": "one", "finished_nodes": [], "nodes": ["a"]}
    hook._pipeline = Pipeline([])
    hook._interruption.expect()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    hook.on_pipeline_error(RuntimeError("a worker was interrupted"))
    assert json.loads((tmp_path / "one.json").read_text())["status"] == "interrupted"


def test_what_one_run_was_told_does_not_end_the_next_one_of_the_session() -> None:
    interruption = Interruption(lambda _: None)
    interruption.expect()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    interruption.expect()
    interruption.insist()
    interruption.forget()
