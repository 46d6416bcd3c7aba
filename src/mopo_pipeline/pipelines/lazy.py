"""Functions named in a pipeline without importing what they stand on."""

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

OWN = "mopo_pipeline"
ROOT = Path(__file__).parents[1]
PARAMETERS = f"{OWN}.parameters."
"""Parameter models are light: of all annotations these alone are imported, for Kedro to check."""


def lazy(target: str) -> Callable[..., Any]:
    """A function of this package, ``module:function``, whose module is imported when it is called.

    Name, signature, documentation and place are the real function's, read from its text: a pipeline that
    gives it too few inputs fails where it is defined, and ``inspect`` and Kedro-Viz show the real source.

    Raises:
        ValueError: there is no such module or function.
    """
    module, _, name = target.partition(":")
    path, tree, found = _definition(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(module), name)(*args, **kwargs)

    call.__code__ = call.__code__.replace(
        co_filename=str(path), co_firstlineno=found.lineno, co_name=name, co_qualname=name
    )
    call.__module__, call.__name__, call.__qualname__ = module, name, name
    call.__doc__ = ast.get_docstring(found)
    call.__annotations__ = _parameter_models(tree, found)
    call.__signature__ = _signature(found, call.__annotations__)  # type: ignore[attr-defined]
    call.target = target  # type: ignore[attr-defined]
    return call


def _definition(module: str, name: str) -> tuple[Path, ast.Module, ast.FunctionDef]:
    path = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if module.split(".", maxsplit=1)[0] != OWN or not path.is_file():
        raise ValueError(f"{module}:{name}: {OWN} has no module {module!r}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return path, tree, statement
    raise ValueError(f"{module}:{name}: {path} defines no function {name!r}")


def _signature(found: ast.FunctionDef, hints: dict[str, Any]) -> inspect.Signature:
    """Names, kinds and whether there is a default, which is the function's own affair."""
    given = found.args
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    kind = inspect.Parameter
    parameters = [
        kind(
            argument.arg,
            kind.POSITIONAL_ONLY if place < len(given.posonlyargs) else kind.POSITIONAL_OR_KEYWORD,
            default=kind.empty if place < required else ...,
            annotation=hints.get(argument.arg, kind.empty),
        )
        for place, argument in enumerate(positional)
    ]
    parameters += [
        kind(
            argument.arg,
            kind.KEYWORD_ONLY,
            default=kind.empty if default is None else ...,
            annotation=hints.get(argument.arg, kind.empty),
        )
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return inspect.Signature(parameters)


def _parameter_models(tree: ast.Module, found: ast.FunctionDef) -> dict[str, Any]:
    origin = {
        alias.asname or alias.name: (statement.module, alias.name)
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(PARAMETERS)
        for alias in statement.names
    }
    given = found.args
    models = {}
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id in origin:
            module, name = origin[argument.annotation.id]
            models[argument.arg] = getattr(import_module(str(module)), name)
    return models
