"""Rows of fuzzed files and what must come out of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fuzzed_cells import Draw

Row = dict[str, Any]
NAMES = ("good", "safe")


@dataclass
class World:
    """Rows to be written and what they mean.

    Attributes:
        files: rows by the name of the parameter that names their file.
        params: of ingest, without paths.
        names: the objectives.
        read: rows of the unit that is counted.
        meant: what comes out, with how many times; None: must be refused; empty with ``garbled``.
        at: what a refusal must name; empty: anything.
        spoilt: what was done to it, for people.
        garbled: cells were replaced at random: any answer will do that is counted and told.
        parts: of ``ingest.parts`` by name, without paths; the files then go by these names.
    """

    files: dict[str, list[Row]]
    params: Row
    read: int
    meant: Counter[Any] | None
    names: tuple[str, ...] = NAMES
    at: tuple[str, ...] = ()
    spoilt: list[str] = field(default_factory=list)
    parts: dict[str, Row] = field(default_factory=dict)
    garbled: bool = False

    def refuse(self, spoilt: str, *at: str) -> None:
        """From here on the only right answer is a refusal that names ``at``."""
        self.meant, self.at, self.spoilt = None, at, [spoilt]


def pair_fact(prompt: Any, a: str, b: str, labels: list[float], weight: float = 1.0) -> Any:
    """A judged pair, sides in the order of their texts."""
    if a > b:
        a, b, labels = b, a, [1.0 - label for label in labels]
    return (
        prompt,
        a,
        b,
        tuple(None if np.isnan(x) else round(x, 9) for x in labels),
        round(weight, 9),
    )


def mean_of(values: list[list[float]]) -> tuple[float | None, ...]:
    """Mean of each column of ratings, None where all are missing."""
    found = []
    for column in zip(*values, strict=True):
        told = [value for value in column if not np.isnan(value)]
        found.append(round(float(np.mean(told)), 9) if told else None)
    return tuple(found)


def place_of(draw: Draw, row: int) -> str:
    """How a message calls this row, counted from 0, of a file without line ends in its cells."""
    return f"line {row + 1}" if draw.kind == "json" else ""


def spoil_number(draw: Draw, world: World, rows: list[Row], column: str, bad: Any) -> None:
    """Put one of the ``bad`` cells into a column, for which the file must be refused."""
    row = int(draw.rng.integers(len(rows)))
    cell = draw.one(bad)
    if draw.kind == "csv" and not isinstance(cell, str):
        cell = "x"
    rows[row][column] = cell
    world.refuse(f"{column}={str(cell)[:20]!r} in row {row}", place_of(draw, row), column)
