"""Names of all findings that the source can make, read from its syntax."""

import ast
from pathlib import Path

from conftest import PROJECT

SOURCE = PROJECT / "src/mopo_pipeline"

THROUGH = {"cut_finding": (1, "{} cut short")}
"""Functions that name a finding after an argument: its place, and the name made of it."""


def names_made() -> dict[str, str]:
    """Fixed part of each finding's name, up to what depends on the run, and the file that makes it.

    Raises:
        AssertionError: a name is made in a way that is not understood here.
    """
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
            for call in [n for n in ast.walk(function) if isinstance(n, ast.Call)]:
                for name in _named(call, function, tree):
                    found[name] = str(path.relative_to(SOURCE))
    return found


def _named(call: ast.Call, function: ast.FunctionDef, tree: ast.Module) -> list[str]:
    called = call.func.id if isinstance(call.func, ast.Name) else ""
    if called in THROUGH:
        place, made = THROUGH[called]
        argument = call.args[place]
        inherited = isinstance(argument, ast.Name)
        return [] if inherited else [made.format(t) for t in _texts(argument, function, tree)]
    if called != "Finding" or function.name in THROUGH:
        return []
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    names = _texts(call.args[0] if call.args else given["name"], function, tree)
    assert names and all(names), f"no name understood at line {call.lineno}: {ast.unparse(call)}"
    return names


def _texts(node: ast.expr, function: ast.FunctionDef, tree: ast.Module) -> list[str]:
    """What an expression may begin with, as far as it is fixed."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return _texts(node.body, function, tree) + _texts(node.orelse, function, tree)
    if isinstance(node, ast.Name):
        return _assigned(node.id, function, tree)
    if not isinstance(node, ast.JoinedStr):
        return []
    begins = [""]
    for part in node.values:
        if isinstance(part, ast.Constant):
            begins = [begin + str(part.value) for begin in begins]
            continue
        known = _texts(part.value, function, tree) if isinstance(part, ast.FormattedValue) else []
        if not known:
            break
        begins = [begin + text for begin in begins for text in known]
    return begins


def _assigned(name: str, function: ast.FunctionDef, tree: ast.Module) -> list[str]:
    """Texts that a name stands for: a constant of the module or an import, or what a function returns first."""
    for nodes in (ast.walk(function), tree.body):
        for node in nodes:
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                pairs = _pairs(target, node.value)
                if name in pairs:
                    value = pairs[name]
                    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
                        return _returned(value.func.id, tree)
                    return _texts(value, function, tree)
    return _imported(name, tree)


def _pairs(target: ast.expr, value: ast.expr) -> dict[str, ast.expr]:
    if isinstance(target, ast.Name):
        return {target.id: value}
    if not isinstance(target, ast.Tuple):
        return {}
    values = value.elts if isinstance(value, ast.Tuple) else [value, *[ast.Tuple([])] * 9]
    return {t.id: v for t, v in zip(target.elts, values, strict=False) if isinstance(t, ast.Name)}


def _returned(name: str, tree: ast.Module) -> list[str]:
    [made] = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name] or [
        None
    ]
    if made is None:
        return []
    found = []
    for node in ast.walk(made):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found += _texts(node.value.elts[0], made, tree)
    return found


def _imported(name: str, tree: ast.Module) -> list[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            assert node.module is not None
            path = PROJECT / "src" / (node.module.replace(".", "/") + ".py")
            other = ast.parse(Path(path).read_text(encoding="utf-8"))
            return _assigned(name, ast.FunctionDef("none", body=[]), other)
    return []
