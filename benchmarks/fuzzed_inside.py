"""Fuzzed files whose columns stand inside cells, and what must come out of each."""

from collections import Counter

from fuzzed_cells import Draw
from fuzzed_pairs import pairs
from fuzzed_world import NAMES, Row, World

OF_A_VOTE = (*NAMES, "weight", "annotator")


def inside(draw: Draw) -> World:
    """Labelled pairs whose texts stand in an object, and their votes, each said several times, in a list."""
    world = pairs(draw)
    while "columns" in world.params:
        world = pairs(draw)
    rows, times = world.files["path"], int(draw.rng.integers(1, 4))
    names = dict.fromkeys(name for row in rows for name in row)
    world.params["columns"] = {
        name: f"votes.*.of.{name}" if name in OF_A_VOTE else f"data.pair.0.{name}" for name in names
    }
    world.files = {"path": [_folded(row, times) for row in rows]}
    world.read *= times
    if world.meant is not None:
        world.meant = Counter({fact: times * count for fact, count in world.meant.items()})
    return world


def _folded(row: Row, times: int) -> Row:
    vote = {name: cell for name, cell in row.items() if name in OF_A_VOTE}
    data = {name: cell for name, cell in row.items() if name not in OF_A_VOTE}
    return {"data": {"pair": [data]}, "votes": [{"of": vote}] * times}
