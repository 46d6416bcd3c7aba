"""Names that the pages and messages give are those of something: parameters, nodes, modules, extras, options of benchmarks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from pages import BESIDE, READ, blocks, code
from pydantic import BaseModel

from conftest import PROJECT
from mopo_pipeline.parameters.groups import GROUPS, MOVED

PAGES = [page for page in (*READ, *BESIDE) if page.suffix == ".md"]
SOURCE = PROJECT / "src/mopo_pipeline"
DOTTED = re.compile(rf"(?<![\w/.-])(?:{'|'.join(GROUPS)})(?:\.\w+)+")
FILES = (".html", ".j2", ".json", ".jsonl", ".parquet", ".py", ".yml")


def models(kind: Any) -> list[type[BaseModel]]:
    """Those that a field may hold."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in models(argument)]


def is_parameter(name: str) -> bool:
    """Whether some group has such a key; a table takes any."""
    group, *keys = name.split(".")
    found: list[type[BaseModel]] = [GROUPS[group]]
    for key in keys:
        fields = [model.model_fields[key] for model in found if key in model.model_fields]
        if not fields:
            return False
        if any("dict" in str(field.annotation).lower() for field in fields):
            return True
        found = [model for field in fields for model in models(field.annotation)]
    return True


def parts() -> set[str]:
    """Nodes and modules of the project by their dotted names, and functions of its modules."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        stage = path.parent.name
        found |= {module, *(f"{stage}.{name}" for name in re.findall(r'name="(\w+)"', text))}
        found |= {f"{module}.{name}" for name in re.findall(r"^(?:def|class) (\w+)", text, re.M)}
    return found


PARTS = parts()


def unknown(text: str) -> set[str]:
    """Dotted names that begin like a parameter and are none, nor anything else."""
    found = {name for name in DOTTED.findall(text) if not name.endswith(FILES)}
    return {name for name in found if name not in PARTS and not is_parameter(name)}


def said_by_the_source() -> Iterator[str]:
    """Every text in the code, docstrings among them."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def typed(page: Path) -> list[str]:
    """The code of a page but Python, which is run as it stands."""
    return [text for text in code(page) if text not in blocks(page, "python")]


def test_a_name_that_is_nothing_is_found() -> None:
    text = "train.lag.evry, plan.margins.harmlessness, plan.make, evaluate.certify, front.html"
    assert unknown(text) == {"train.lag.evry"}


def test_every_parameter_that_a_page_names_exists() -> None:
    said = {page: [text for text in typed(page) if DOTTED.search(text)] for page in PAGES}
    assert sum(map(len, said.values())) > 150
    assert {
        page.name: found for page, texts in said.items() if (found := unknown(" ".join(texts)))
    } == {}


@pytest.mark.slow
def test_every_parameter_that_a_message_names_exists() -> None:
    found = set().union(*(unknown(text) for text in said_by_the_source()))
    assert found <= {*MOVED, "task.description"}, "the latter is a field of a progress bar"


EXTRA = re.compile(r"(?:mopo_pipeline|-e ['\"]?\.)\[([\w,]+)\]")


def test_every_extra_that_a_page_or_a_message_installs_exists() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = [*PAGES, *SOURCE.rglob("*.py")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    named = {extra for text in texts for found in EXTRA.findall(text) for extra in found.split(",")}
    assert len(named) >= 8
    assert named <= set(project["optional-dependencies"])


def benchmarks() -> Iterator[tuple[str, str]]:
    """Scripts with their options, as the pages call them, by path or through make."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    by_target = dict(
        re.findall(r"^([\w-]+):.*\n(?:\t.*\n)*?\t\$\(BIN\)/python (\S+\.py)", makefile, re.M)
    )
    for page in PAGES:
        for text in code(page):
            yield from re.findall(r"^python (benchmarks/\S+\.py)(.*)", text, re.M)
            for target, options in re.findall(r'^make ([\w-]+) ARGS="(.*)"', text, re.M):
                if target in by_target:
                    yield by_target[target], options


def test_every_benchmark_of_the_pages_exists_and_has_the_options_it_is_given() -> None:
    named = sorted(set(benchmarks()))
    assert len(named) >= 4
    for script, options in named:
        source = (PROJECT / script).read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", options):
            assert f'"{option}"' in source, f"{script} {option}"


SHOWN = [(page, block) for page in PAGES for block in blocks(page, "yaml")]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), SHOWN, ids=[page.stem for page, _ in SHOWN])
def test_parameters_that_a_page_shows_are_taken(page: Path, block: str) -> None:
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, runtime_params=yaml.safe_load(block)) as session:
        assert session.load_context().params
