"""Files of every layout with cells spoilt at random: refused by name, or read as what they mean."""

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from conftest import PROJECT
from mopo_pipeline.sources.load import SourceData, load_source

FILES = 40


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    logging.disable(logging.WARNING)
    yield importlib.import_module("fuzz")
    logging.disable(logging.NOTSET)


def faults(fuzz: ModuleType, folder: Path) -> list[str]:
    found = []
    for number in range(FILES):
        place = folder / str(number)
        place.mkdir(parents=True)
        found.append(fuzz.made(number, place))
    return [fault for fault in found if fault is not None]


@pytest.mark.slow
def test_the_first_fuzzed_files_are_read_as_they_mean_or_refused(
    fuzz: ModuleType, tmp_path: Path
) -> None:
    assert faults(fuzz, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["a pair turned", "a row lost", "an answer cut"])
def test_a_reader_that_changes_what_is_said_is_found(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def spoils(*given: object) -> SourceData:
        data = load_source(*given)  # type: ignore[arg-type]
        responses, judgements = data.responses.copy(), data.judgements.copy()
        if wrong == "a pair turned" and not judgements.empty:
            sides = ["response_a", "response_b"]
            judgements.loc[0, sides] = judgements.loc[0, sides[::-1]].to_numpy()
        elif wrong == "a row lost":
            judgements, responses = judgements.iloc[1:], responses.iloc[: len(responses) - 1]
        elif wrong == "an answer cut":
            responses.loc[0, "response"] = responses.loc[0, "response"][:-1]
        return SourceData(responses, judgements, data.report)

    monkeypatch.setattr(fuzz, "load_source", spoils)
    assert len(faults(fuzz, tmp_path)) > 3
