"""The templates of pages: what they fill in is escaped, and what is missing is an error."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mopo_pipeline.reporting.summary import digits

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(folder: str = ".") -> "Environment":
    """Of the templates in a folder of this room, with the ways to write numbers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("mopo_pipeline.reporting", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "digits": digits,
        "number": number,
        "counted": counted,
        "percent": percent,
        "plain": plain,
    }
    return made


def number(value: Any) -> str:
    """A number as a person writes it, a table of them on one line; anything else as it is.

    >>> number({"steps": 1200, "rate": 0.00031415}), number(None)
    ('steps 1,200, rate 0.0003142', '–')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {number(inner)}" for key, inner in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def counted(count: int, noun: str) -> str:
    """How many of something, in the singular where there is one.

    >>> counted(1, "answer"), counted(8, "answer")
    ('1 answer', '8 answers')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def plain(value: Any) -> str:
    """A parameter as YAML would say it, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def percent(value: float | None) -> str:
    """A share with one digit behind the point; a dash where unknown.

    >>> percent(0.0625), percent(None)
    ('6.2%', '–')
    """
    return "–" if value is None else f"{value:.1%}"
