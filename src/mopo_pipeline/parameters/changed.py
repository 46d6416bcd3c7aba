"""Which parameters are not at their defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mopo_pipeline.parameters.groups import GROUPS

OF_A_RUN = ("task", "ingest", "preferences", "plan", "reference", "train", "evaluate", "report")
"""Groups that a whole run reads."""

PLACES = frozenset({"work_dir", "path"})
"""Keys that say where a run's own files lie, where they stand in these groups."""

PLACED = ("reference", "train", "report")


def changed_parameters(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by full name that are not at their defaults, and those that have none.

    Args:
        resolved: groups as ``validate_parameters`` gives them.
    """
    found: dict[str, Any] = {}
    for group in OF_A_RUN:
        if group in resolved:
            model = GROUPS[group].model_validate(resolved[group])
            found |= dict(_changed(model, group, PLACES if group in PLACED else frozenset()))
    return found


def _changed(model: BaseModel, name: str, skipped: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for key, field in type(model).model_fields.items():
        value, default = getattr(model, key), field.get_default(call_default_factory=True)
        if key in skipped:
            continue
        if isinstance(value, BaseModel) and isinstance(default, BaseModel):
            yield from _of_another_kind(value, default, f"{name}.{key}")
            yield from _changed(value, f"{name}.{key}", skipped)
        elif field.is_required() or value != default:
            yield f"{name}.{key}", model.model_dump(mode="json")[key]


def _of_another_kind(value: BaseModel, default: BaseModel, name: str) -> Iterator[tuple[str, Any]]:
    """What tells a group from the default one where it is of another class, such as its ``mode``."""
    if type(value) is not type(default):
        given, usual = value.model_dump(mode="json"), default.model_dump(mode="json")
        yield from ((f"{name}.{k}", v) for k, v in given.items() if k in usual and v != usual[k])
