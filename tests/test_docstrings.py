"""What docstrings promise: shapes wherever arrays go in or come out, splits by their names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from conftest import PROJECT

PACKAGE = PROJECT / "src/mopo_pipeline"
ARRAY = re.compile(r"\b(Array|ArrayLike|NDArray|Index|ndarray|Tensor)\b")
SIZE = r"(?:\w+(?: ?[-+*/] ?\w+)*|\.\.\.)"
SHAPE = re.compile(rf"\((?:{SIZE}(?:, {SIZE})+|{SIZE},|)\)")
"""(n,), (N, K-1), (..., K); () is a scalar."""


def functions(tree: ast.AST, about: str = "") -> Iterator[tuple[ast.FunctionDef, str]]:
    """Functions and methods with the docstring of their class; not those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node, about
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, ast.get_docstring(node) or "")


def holds_arrays(function: ast.FunctionDef) -> bool:
    given = function.args
    annotations = [
        argument.annotation for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)
    ]
    return any(ARRAY.search(ast.unparse(a)) for a in [*annotations, function.returns] if a)


def without_shapes(source: str) -> list[str]:
    """Functions of a module that take or return arrays and name no shape; a class speaks for its dunders."""
    return [
        function.name
        for function, about in functions(ast.parse(source))
        if holds_arrays(function)
        and not SHAPE.search(
            (ast.get_docstring(function) or "") + (about if function.name[:2] == "__" else "")
        )
    ]


def test_every_function_with_arrays_says_their_shapes() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted(PACKAGE.rglob("*.py"))
        if (names := without_shapes(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_a_function_that_names_no_shape_is_found() -> None:
    """Prose in parentheses is no shape, and neither is a call."""
    source = '''
def told(a: Array) -> float:
    """Mean of values (n,)."""
def untold(a: Array) -> float:
    """Mean of values (few, or none at all), see mean(values)."""
def numbers(a: float) -> float:
    """No arrays."""
'''
    assert without_shapes(source) == ["untold"]


def test_splits_of_the_data_go_by_their_names() -> None:
    pages = [p for p in (PROJECT / "docs").rglob("*.md") if p.name != "experiments.md"]
    files: list[Path] = [*pages, *PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.j2")]
    allowed = {"glossary.md": 1, "groups.py": 1}
    for file in files:
        said = re.findall(r"held[- _]?out", file.read_text(encoding="utf-8"), flags=re.IGNORECASE)
        assert len(said) == allowed.get(file.name, 0), file
