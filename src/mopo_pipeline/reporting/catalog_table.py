"""What every artifact of the catalog is, and where it lies, for the terminal."""

from collections.abc import Mapping
from os.path import relpath
from pathlib import Path
from typing import Any


def artifacts(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, tuple[str, str]]]:
    """What each artifact is and where, by stage and name.

    Args:
        entries: of the catalog, by name, with their ``filepath`` and ``metadata``.

    >>> stage = {"kedro-viz": {"layer": "ingest"}, "description": "a row per answer"}
    >>> artifacts({"responses": {"filepath": "data/responses.parquet", "metadata": stage}, "lost": {}})
    {'ingest': {'responses': ('a row per answer', 'data/responses.parquet')}}
    """
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for name, entry in sorted(entries.items()):
        metadata = entry.get("metadata") or {}
        if (stage := metadata.get("kedro-viz", {}).get("layer")) is None:
            continue
        place = str(entry.get("filepath", ""))
        told = str(metadata.get("description", "a picture, as SVG and PNG"))
        found.setdefault(stage, {})[name] = told, place
    return found


def catalog_table(entries: Mapping[str, Mapping[str, Any]], order: list[str]) -> None:
    """Print them, stages in this order, places as seen from the working directory."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    found = artifacts(entries)
    for stage in sorted(found, key=lambda s: order.index(s) if s in order else len(order)):
        console.print(f"[bold]{stage}[/bold]", highlight=False)
        for name, (told, place) in found[stage].items():
            shown = relpath(place) if Path(place).is_absolute() else place
            console.print(f"  [cyan]{name}[/cyan]: {escape(told)}", highlight=False)
            console.print(f"    {escape(shown)}", highlight=False, soft_wrap=True)
