"""One HTML file with its styles, scripts and data inside: it opens from disk and loads nothing."""

import json
import math
from importlib.resources import files
from typing import Any

from mopo_pipeline.reporting.templates import environment

PLOTLY = "plotly-basic.min.js"
"""Plotly's bundle of scatter, bar and pie alone, a quarter of the whole; its licence lies beside it."""


def render_interactive(template: str, data: dict[str, Any], scripts: tuple[str, ...]) -> str:
    """Fill a template of this folder.

    Args:
        template: its file name; ``data.title`` is its heading.
        data: what the scripts read, plain values; NaN and infinite numbers arrive as null.
        scripts: file names of this folder, in the order in which they run, after Plotly.
    """
    return (
        environment("interactive")
        .get_template(template)
        .render(
            data=data,
            json=embedded(data),
            style=asset("page.css"),
            scripts=[asset(name) for name in (PLOTLY, *scripts)],
        )
    )


def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def embedded(data: dict[str, Any]) -> str:
    """Data as JSON that no text in it can break out of: inside a script element ``<`` is an escape."""
    return json.dumps(_finite(data), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
