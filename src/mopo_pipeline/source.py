"""What code a result rests on: the modules a function reaches, read from their text, not imported.

A module counts by what it does: docstrings, comments and layout are left out, and so is everything a
function cannot reach. With the modules come files lying beside them and versions of packages they use.
What was found in a text is kept beside the package's bytecode and, while the text is the same, not looked for again.
"""

import ast
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import cache_from_source
from inspect import getsourcefile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent
OWN = ROOT.name

DISTRIBUTIONS = {
    "torch": ("torch",),
    "transformers": ("transformers", "tokenizers", "accelerate"),
    "peft": ("peft",),
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "pandas": ("pandas",),
    "moocore": ("moocore",),
    "datasets": ("datasets",),
    "better_profanity": ("better-profanity",),
    "pyphen": ("pyphen",),
    "vaderSentiment": ("vaderSentiment",),
    "matplotlib": ("matplotlib",),
    "vllm": ("vllm",),
    "lm_eval": ("lm_eval",),
    "trl": ("trl",),
    "bitsandbytes": ("bitsandbytes",),
}
"""Packages whose version may change a result, by the name they are imported under."""

NOT_CODE = frozenset({"py.typed"})

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Code:
    """What a function rests on.

    Attributes:
        modules: a digest by module or by the path of a file beside one.
        versions: of packages, by name; what is not installed is left out.
    """

    modules: dict[str, str]
    versions: dict[str, str]

    @property
    def digest(self) -> str:
        """One hash of all of it."""
        return _hash(repr([sorted(self.modules.items()), sorted(self.versions.items())]))

    @property
    def text_digest(self) -> str:
        """One hash of the modules, whatever is installed."""
        return _hash(repr(sorted(self.modules.items())))


class Reached(NamedTuple):
    """What a piece of code names: a digest of its own text, this package's modules, other packages."""

    digest: str
    modules: list[str]
    packages: list[str]


def code_of(function: Callable[..., Any]) -> Code:
    """The code ``function`` rests on: of its own module only what it uses, of all others everything."""
    path = _path(function.__module__) or getsourcefile(function)
    if path is None:
        raise ValueError(f"{function!r} has no source file")
    own = _reached(Path(path).read_text(encoding="utf-8"), function.__name__)
    return _code(f"{function.__module__}.{function.__name__}", own)


@cache
def code_of_module(name: str) -> Code:
    """The code a module of this package rests on, itself included."""
    return _code(name, _module(name))


def _code(name: str, start: Reached) -> Code:
    modules, packages = {name: start.digest}, set(start.packages)
    queue = list(start.modules)
    while queue:
        module = queue.pop()
        if module in modules:
            continue
        reached = _module(module)
        modules[module] = reached.digest
        packages.update(reached.packages)
        queue += reached.modules
    folders = {path.parent for module in modules if (path := _path(module)) is not None}
    for folder in folders:
        modules |= _files(folder)
    _memo(ROOT).keep()
    names = {name for package in packages for name in DISTRIBUTIONS.get(package, ())}
    return Code(modules, {name: found for name in sorted(names) if (found := _version(name))})


@cache
def _module(name: str) -> Reached:
    path = _path(name)
    assert path is not None, name
    return _reached(path.read_text(encoding="utf-8"))


class Memo:
    """What was found in texts of the package at ``root``, in a file beside its bytecode.

    It holds for one interpreter, one state of this module and one list of modules, by which a name is taken for one of them;
    where Python may write no bytecode, nothing is written.
    """

    def __init__(self, root: Path) -> None:
        """Read what was kept; nothing where it was kept for something else, or is no memo."""
        self.file = Path(cache_from_source(str(root / Path(__file__).name))).with_suffix(".json")
        modules = sorted(str(path.relative_to(root)) for path in root.rglob("*.py"))
        own = Path(__file__).read_text(encoding="utf-8")
        self.holds_for = sha256(repr([sys.version, own, modules]).encode()).hexdigest()
        self.found: dict[str, Reached] = {}
        with suppress(OSError, ValueError, LookupError, TypeError):
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            if kept["holds_for"] == self.holds_for:
                self.found = {key: Reached(*values) for key, values in kept["found"].items()}
        self.kept = len(self.found)

    def reached(self, text: str, name: str | None) -> Reached:
        """What a module's text reaches, or what of it the definition ``name`` uses."""
        key = sha256(repr([name, text]).encode()).hexdigest()
        if key not in self.found:
            tree = ast.parse(text)
            self.found[key] = _read(tree.body if name is None else _used(tree, name))
        return self.found[key]

    def keep(self) -> None:
        """Write what was found since it was read."""
        if len(self.found) == self.kept or sys.dont_write_bytecode:
            return
        told = json.dumps({"holds_for": self.holds_for, "found": self.found})
        beside = self.file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self.file.parent.mkdir(exist_ok=True, parents=True)
            beside.write_text(told, encoding="utf-8")
            beside.replace(self.file)  # whole, for whoever reads it now
        self.kept = len(self.found)


_memo = cache(Memo)


def _reached(text: str, name: str | None = None) -> Reached:
    return _memo(ROOT).reached(text, name)


def _read(statements: Iterable[ast.stmt]) -> Reached:
    """Text without docstrings and everything imported, wherever in the code."""
    body = list(statements)
    modules, packages = set(), set()
    for name in _imported(body):
        if _top(name) == OWN:
            modules.add(name)
        else:
            packages.add(_top(name))
    return Reached(_hash(ast.unparse(_bare(body))), sorted(modules), sorted(packages))


def _imported(statements: Iterable[ast.AST]) -> Iterator[str]:
    queue = list(statements)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _decides(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in below if _path(name) is not None]
            yield from found
            if len(found) < len(below) and _decides(node.module):
                yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = node.value.partition(":")[0]
            if _top(named) in DISTRIBUTIONS or _path(named) is not None:
                yield named
        queue += ast.iter_child_nodes(node)


def _decides(name: str) -> bool:
    """The package itself holds nothing but its version."""
    return name != OWN and (_top(name) != OWN or _path(name) is not None)


def _top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def _used(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Imports of a module, and of its definitions those that ``name`` uses, in their order."""
    definitions: dict[str, ast.stmt] = {}
    for statement in tree.body:
        definitions |= {defined: statement for defined in _defined(statement)}
    wanted, queue = set(), [name]
    while queue:
        current = queue.pop()
        if current in wanted or current not in definitions:
            continue
        wanted.add(current)
        names = ast.walk(definitions[current])
        queue += [node.id for node in names if isinstance(node, ast.Name)]
    kept = [definitions[defined] for defined in wanted]
    return [s for s in tree.body if s in kept or not (_defined(s) or isinstance(s, ast.Expr))]


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, Definition):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _bare(body: list[ast.stmt]) -> ast.Module:
    """The statements without docstrings: texts that stand alone."""
    tree = ast.Module(body, type_ignores=[])
    for node in ast.walk(tree):
        inner = getattr(node, "body", None)
        if isinstance(node, ast.Module | Definition) and inner:
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def _path(module: str) -> Path | None:
    """The file of a module of this package."""
    top, *parts = module.split(".")
    if top != OWN:
        return None
    base = ROOT.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if parts and path.is_file():
            return path
    return None


@cache
def _files(folder: Path) -> dict[str, str]:
    """Digests of a package's files that are no Python."""
    return {
        str(path.relative_to(ROOT.parent)): _hash(path.read_bytes())
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.suffix.startswith(".py") and path.name not in NOT_CODE
    }


@cache
def _version(name: str) -> str | None:
    """A version without its local part: builds for CPU and GPU are the same code."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def _hash(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return sha256(data).hexdigest()[:12]
