"""Fuzzed files of rated responses, and what must come out of each."""

from collections import Counter
from typing import Any

from fuzzed_cells import NO_NUMBERS, Draw, folded
from fuzzed_world import NAMES, Row, World, mean_of, place_of, spoil_number


def rated(draw: Draw) -> World:
    """Rated responses, with ids or without, an answer perhaps rated more than once."""
    ids, rows, prefix = draw.chance(0.4), [], draw.one(("", "score_"))
    marks: dict[Any, list[list[float]]] = {}
    for i in range(int(draw.rng.integers(12, 16))):
        for j in range(2):
            prompt, messages = draw.prompt(i)
            answer, meant = draw.answer()
            row: Row = {"prompt": prompt, "response": answer}
            values = []
            for name in NAMES:
                row[prefix + name], value = draw.label()
                values.append(value)
            if ids:
                row |= {"prompt_id": f"{i:03d}", "response_id": f"{i:03d}{j}"}
            rows.append(row)
            key = (folded(messages), meant, row.get("response_id"))
            marks.setdefault(key, []).append(values)
    facts = Counter((*key, mean_of(values)) for key, values in marks.items())
    world = World({"path": rows}, {}, len(rows), facts)
    row_, kind = (
        int(draw.rng.integers(len(rows))),
        draw.one(("text", "rating", "id", "column", "", "", "")),
    )
    if kind == "text":
        column = draw.one(("prompt", "response"))
        rows[row_][column] = draw.bad_text()
        world.refuse(f"{column}={rows[row_][column]!r:.40}", place_of(draw, row_), column)
    elif kind == "rating":
        spoil_number(draw, world, rows, prefix + draw.one(NAMES), NO_NUMBERS)
    elif kind == "id" and ids:
        rows[row_]["response_id"] = draw.one((rows[row_ - 1]["response_id"], None))
        world.refuse(f"response_id={rows[row_]['response_id']!r:.40}", "response_id")
    elif kind == "column":
        for each in rows:
            del each[prefix + "safe"]
        world.refuse("no column safe", "safe")
    return world


def completions(draw: Draw) -> World:
    """Several completions in a row, with scores or ranks."""
    key, how = draw.one(("text", "response", "completion")), draw.one(("plain", "scores", "rank"))
    rows, marks, read = [], {}, 0
    for i in range(int(draw.rng.integers(12, 16))):
        prompt, messages = draw.prompt(i)
        many = []
        for j in range(int(draw.rng.integers(1, 4))):
            text, values = f"{draw.words()} {j}", [float(draw.rng.integers(5)) for _ in NAMES]
            told = dict(zip(NAMES, values, strict=True))
            if how == "rank":
                told = {f"rank_{name}": value for name, value in told.items()}
            many.append({key: text, **({"scores": told} if how == "scores" else told)})
            values = [-v for v in values] if how == "rank" else values
            marks.setdefault((folded(messages), text, None), []).append(values)
        rows.append({"prompt": prompt, "completions": many})
        read += len(many)
    facts = Counter((*k, mean_of(values)) for k, values in marks.items())
    world = World({"path": rows}, {}, read, facts)
    if draw.chance(0.4) and draw.kind == "json":
        row = int(draw.rng.integers(len(rows)))
        bad = draw.one(
            (
                [],
                None,
                "x",
                {},
                ["x"],
                [{"text": 1.5}],
                [{"text": "a", "good": "x"}],
                [{}],
                [None],
                3,
            )
        )
        rows[row]["completions"] = bad
        world.refuse(f"completions={bad!r}", f"line {row + 1}")
    return world
