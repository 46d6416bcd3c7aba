"""What the page on cost promises of 4 bits is what the memory model says."""

import importlib.util
import re
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from conftest import PROJECT


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scaling", PROJECT / "benchmarks/scaling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


def test_16_rows_of_an_8b_model_fit_a_card_of_24_gb_in_4_bits_and_not_without(
    scaling: ModuleType,
) -> None:
    room, shape = 0.9 * 24e9, scaling.SHAPES["8B"]
    load = replace(scaling.QLORA, rows=16)
    assert sum(scaling.memory(shape, load).values()) < room
    assert sum(scaling.memory(shape, replace(load, load_in_4bit=False)).values()) > room


def test_the_page_says_what_the_model_says(scaling: ModuleType) -> None:
    page = (PROJECT / "docs/scaling.md").read_text(encoding="utf-8")
    [said] = re.findall(
        r"8 rows of 1024 tokens take ([\d.]+) GB, 4 rows ([\d.]+), 2 rows ([\d.]+), 1 row ([\d.]+)",
        page,
    )
    needed = [
        sum(scaling.memory(scaling.SHAPES["8B"], replace(scaling.QLORA, rows=rows)).values()) / 1e9
        for rows in (8, 4, 2, 1)
    ]
    assert [f"{gb:.1f}" for gb in needed] == list(said)


def test_only_the_weights_shrink_in_4_bits(scaling: ModuleType) -> None:
    shape = scaling.SHAPES["8B"]
    small, whole = (
        scaling.memory(shape, replace(scaling.QLORA, load_in_4bit=bits)) for bits in (True, False)
    )
    assert {name for name in whole if small[name] != whole[name]} == {"weights"}
    assert small["weights"] < 0.4 * whole["weights"]
