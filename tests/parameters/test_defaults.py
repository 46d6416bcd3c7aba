"""A default lives in the parameter models; the base configuration sets what the pocket task needs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from conftest import PROJECT
from mopo_pipeline.mopo import Limits
from mopo_pipeline.parameters.groups import GROUPS
from mopo_pipeline.parameters.lag import NoLag, OfflineLag

STATED = re.compile(r"^( *)# ([a-z_]+:(?: .*)?)$", re.MULTILINE)
"""A commented line that states a default."""

FREE = {
    "objectives",
    "parts",
    "reward_models",
    "rivals",
    "structures",
    "sweeps",
    "thresholds",
    "tuning",
    "variants",
}
"""Keys whose values are the user's own tables, or have no default."""

FILLED_IN_BY_THE_RUN = (
    "report.environment",
    "report.seconds",
    "report.command",
    "report.stages",
    "report.trained",
    "report.run.",
    "front.run.",
)

METHOD = ("mopo", "pareto")
"""Rooms whose functions are called without parameters; their defaults are a contract of their own."""


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def fields(known: list[type[BaseModel]], key: str) -> list[FieldInfo]:
    return [model.model_fields[key] for model in known if key in model.model_fields]


def leaves(
    known: list[type[BaseModel]], value: dict[str, Any], path: str
) -> Iterator[tuple[str, Any, Any]]:
    """Every key with what is written and its default in the models."""
    for key, inner in value.items():
        found = fields(known, key)
        assert found, f"{path}.{key} is no parameter"
        nested = [model for field in found for model in models(field.annotation)]
        if nested and isinstance(inner, dict) and key not in FREE:
            yield from leaves(nested, inner, f"{path}.{key}")
        else:
            default = found[0].get_default(call_default_factory=True)
            yield f"{path}.{key}", inner, list(default) if isinstance(default, tuple) else default


def names(known: list[type[BaseModel]], path: str) -> Iterator[str]:
    for model in known:
        for key, field in model.model_fields.items():
            nested = models(field.annotation)
            if nested and key not in {*FREE, "lora", "sampled", "chat"}:
                yield from names(nested, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def text_of(group: str) -> str:
    return (PROJECT / f"conf/base/parameters_{group}.yml").read_text(encoding="utf-8")


def stated(group: str) -> dict[str, Any]:
    whole = re.sub(r": \{\}  # replace.*", ":", STATED.sub(r"\1\2", text_of(group)))
    return dict(yaml.safe_load(whole)[group])


@pytest.mark.parametrize("group", GROUPS)
def test_the_base_configuration_sets_no_key_to_its_default(group: str) -> None:
    given = yaml.safe_load(text_of(group))[group]
    assert [
        n for n, written, default in leaves([GROUPS[group]], given, group) if written == default
    ] == []


@pytest.mark.parametrize("group", GROUPS)
def test_what_it_states_as_a_default_is_the_default(group: str) -> None:
    given = yaml.safe_load(text_of(group))[group]
    set_here = {name for name, *_ in leaves([GROUPS[group]], given, group)}
    wrong = {
        name: (written, default)
        for name, written, default in leaves([GROUPS[group]], stated(group), group)
        if name not in set_here and default is not PydanticUndefined and written != default
    }
    assert wrong == {}


@pytest.mark.parametrize("group", GROUPS)
def test_it_names_every_key(group: str) -> None:
    written = {name for name, *_ in leaves([GROUPS[group]], stated(group), group)}
    asked = {
        name for name in names([GROUPS[group]], group) if not name.startswith(FILLED_IN_BY_THE_RUN)
    }
    assert asked == written


def defaults_by_name() -> dict[str, list[Any]]:
    """What the models say of every key, whatever group it is in."""
    found: dict[str, list[Any]] = {}
    waiting: list[type[BaseModel]] = list(GROUPS.values())
    while waiting:
        model = waiting.pop()
        for key, field in model.model_fields.items():
            found.setdefault(key, []).append(field.get_default(call_default_factory=True))
            waiting += models(field.annotation)
    return found


DEFAULTS = defaults_by_name()
NAMESAKES = {"held(patience=0.0)", "cross_fit(split='train')", "__init__(name='preference_model')", "_ids(split=False)"}  # fmt: skip
"""Arguments that share a parameter's name and mean something else."""


def own_defaults(file: Path) -> Iterator[str]:
    """Arguments whose default is none of those that the models have for a parameter of that name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        given = node.args
        pairs = [
            *zip(reversed(given.args), reversed(given.defaults), strict=False),
            *zip(given.kwonlyargs, given.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            plain = isinstance(default, ast.Constant) and default.value not in {None, ""}
            if plain and default.value not in DEFAULTS.get(argument.arg, [default.value]):
                yield f"{node.name}({argument.arg}={ast.unparse(default)})"


@pytest.mark.slow
def test_no_function_repeats_a_default_with_another_value() -> None:
    root = PROJECT / "src/mopo_pipeline"
    files = [f for f in root.rglob("*.py") if f.relative_to(root).parts[0] not in METHOD]
    assert files
    assert {found for file in files for found in own_defaults(file)} - NAMESAKES == set()


def test_a_default_repeated_with_another_value_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("def draw(seed, max_ratio=10.0, *, batch_tokens=8192, bootstrap=1): ...")
    assert list(own_defaults(file)) == ["draw(max_ratio=10.0)", "draw(bootstrap=1)"]


def test_the_limits_of_the_method_are_those_of_the_parameters() -> None:
    assert Limits().max_multiplier == NoLag().max_multiplier
    assert Limits().min_ess == OfflineLag(every=1).min_ess
