"""What pydantic finds wrong, one mistake a place: a value that fits none of several kinds is one mistake."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

LAST = ("missing", "extra_forbidden")
"""Faults whose place ends in a key that is or should be there."""

SHAPES = {"Position": "{position: 0 to 1}"}
"""How the tables that may stand for a plain value are written, by their models."""

NO_TABLE = ("model_type", "dict_type")
"""Faults of a value that is no table."""


def told_once(raw: Any, error: ValidationError) -> list[dict[str, Any]]:
    """Faults with ``loc`` as a user wrote it: without the names of the kinds that pydantic tried at a place.

    Of several faults at one place those of the kind that was meant are kept, as one: of a table's keys where a table is
    written, else what a plain value should have been, each kind named.
    """
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for fault in error.errors():
        place, tried = written_place(raw, fault["loc"], fault["type"])
        places.setdefault(place, []).append(dict(fault) | {"loc": place, "tried": tried})
    inner = [place for place in places if any(_below(other, place) for other in places)]
    return [_as_one(faults) for place, faults in places.items() if place not in inner]


def written_place(raw: Any, loc: Sequence[Any], kind: str) -> tuple[tuple[Any, ...], bool]:
    """The part of ``loc`` that names keys and indices of ``raw``, and whether it named more."""
    place: list[Any] = []
    current, tried = raw, False
    for position, part in enumerate(loc):
        is_key = isinstance(current, Mapping) and part in current
        is_index = isinstance(current, Sequence) and isinstance(part, int) and part < len(current)
        if is_key or is_index:
            current = current[part]
        elif not (position == len(loc) - 1 and kind in LAST):
            tried = True
            continue
        place.append(part)
    return tuple(place), tried


def siblings(group: str, model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Full names of the parameters there are beside a mistyped one; ``path`` is where, below ``group``."""
    current = [model]
    for part in path:
        fields = [m.model_fields[part] for m in current if part in m.model_fields]
        if fields:
            current = [found for field in fields for found in models(field.annotation)]
        elif not part.isdigit():
            current = []
    return [".".join([group, *path, name]) for m in current for name in m.model_fields]


def models(annotation: Any) -> list[type[BaseModel]]:
    """Parameter models that an annotation names, inside unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def _below(place: tuple[Any, ...], above: tuple[Any, ...]) -> bool:
    return len(place) > len(above) and place[: len(above)] == above


def _as_one(faults: list[dict[str, Any]]) -> dict[str, Any]:
    """The first of several faults at a place, its message naming what any of the kinds tried would have taken."""
    if len(faults) == 1:
        return faults[0]
    plain = [fault for fault in faults if fault["type"] not in NO_TABLE]
    tables = [fault for fault in faults if fault["type"] in NO_TABLE]
    reasons = list(dict.fromkeys(fault["msg"].removeprefix("Input ") for fault in plain or faults))
    shapes = [SHAPES.get(fault.get("ctx", {}).get("class_name"), "a table") for fault in tables]
    message = "Input " + ", or ".join([*reasons, *(shapes if plain else [])])
    return faults[0] | {"msg": message, "type": (plain or faults)[0]["type"]}
