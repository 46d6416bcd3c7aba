"""What code cites of the method page stands there, and what the page names exists."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

import mopo_pipeline.mopo
from conftest import PROJECT

PAGE = (PROJECT / "docs/method.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\d+)\. (.+)$", PAGE, flags=re.M))
CITED = re.compile(r"method\.md`*,?\s+(sections?|eqs?\.)\s+(\d+(?:(?:,| and)+\s*\d+)*)", re.S)
FILES = sorted(
    path
    for folder, ending in (("src", "*.py"), ("conf", "*.yml"))
    for path in (PROJECT / folder).rglob(ending)
    if "method.md" in path.read_text(encoding="utf-8")
)


def cited(path: Path) -> list[tuple[str, str]]:
    """Kind and number of everything a file cites."""
    text = re.sub(r"\n\s*#?\s*", " ", path.read_text(encoding="utf-8"))
    return [(kind, n) for kind, many in CITED.findall(text) for n in re.findall(r"\d+", many)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_citation_of_the_method_page_resolves_there(path: Path) -> None:
    for kind, number in cited(path):
        if kind.startswith("eq"):
            assert re.search(rf"^\| \({number}\) ", PAGE, flags=re.M), f"equation {number}"
        else:
            assert number in SECTIONS, f"section {number}"


def test_citations_are_found_at_all() -> None:
    found = [citation for path in FILES for citation in cited(path)]
    assert len(found) > 20
    assert {number for kind, number in found if kind.startswith("sec")} >= {"2", "3", "4", "5", "7"}


def tables() -> list[tuple[str, str]]:
    """Function and test column of every row that has both."""
    rows = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [(row[-2], row[-1]) for row in rows if len(row) == 3 and "`" in row[-2]]


def named(name: str) -> object:
    """What a dotted name of the page stands for."""
    parts = name.split(".")
    if hasattr(mopo_pipeline.mopo, parts[0]):
        return reduce(_part, parts[1:], getattr(mopo_pipeline.mopo, parts[0]))
    for end in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(["mopo_pipeline", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        return reduce(_part, parts[end:], module)
    raise AttributeError(f"nothing is called {name}")


def _part(owner: object, name: str) -> object:
    if name in getattr(owner, "__annotations__", {}):
        return owner.__annotations__[name]
    return getattr(owner, name)


@pytest.mark.parametrize(("functions", "tests"), tables())
def test_functions_and_tests_of_every_equation_exist(functions: str, tests: str) -> None:
    names = re.findall(r"`([A-Za-z_][\w.]*)[^`]*`", functions)
    assert names
    for name in names:
        named(name)
    for file in re.findall(r"`(test_\w+\.py)`", tests):
        assert len(list((PROJECT / "tests").rglob(file))) == 1, file


def test_a_name_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(AttributeError):
        named("solve_dual.nothing")
    with pytest.raises(AttributeError):
        named("training.loss.nothing")
