"""Fuzzed files of published schemas, and what must come out of each."""

from collections import Counter
from typing import Any

import numpy as np

from fuzzed_cells import MISSING, NO_NUMBERS, Draw, folded
from fuzzed_world import Row, World, mean_of, pair_fact

WINNERS = ((0, 1.0), (1, 0.0), (None, MISSING), (-1, MISSING), (0, 1.0), (1, 0.0))
MARKS = (("1", 1.0), ("5", 5.0), ("N/A", MISSING), (None, MISSING), (3, 3.0))
RATINGS = ((0, 0.0), (4, 4.0), (2, 2.0), (None, MISSING), (1.5, 1.5))


def safe_rlhf(draw: Draw) -> World:
    """Two answers with the number of the better and of the safer one, perhaps of nobody."""
    names = {"helpfulness": "better_response_id", "harmlessness": "safer_response_id"}
    rows, facts = [], Counter[Any]()
    for i in range(int(draw.rng.integers(14, 20))):
        a, b = f"{draw.words()} 1", f"{draw.words()} {draw.one((1, 2))}"
        row: Row = {"prompt": f"q{i}", "response_0": a, "response_1": b}
        found = {column: draw.one(WINNERS) for column in names.values()}
        row |= {column: cell for column, (cell, _) in found.items()}
        labels = [meant for _, meant in found.values()]
        rows.append(row)
        if a != b and not np.isnan(labels).all():
            facts[pair_fact(folded([{"role": "user", "content": f"q{i}"}]), a, b, labels)] += 1
    world = World({"path": rows}, {"source": "safe_rlhf"}, len(rows), facts, tuple(names))
    _spoil(draw, world, rows, "safer_response_id", (2, True, "x", 0.5, [0], "nan", 10**400))
    return world


def helpsteer(draw: Draw) -> World:
    """Answers rated on five scales; short ones are rated by minus their length."""
    names = ("helpfulness", "conciseness")
    rows, marks, read = [], {}, 0
    for i in range(int(draw.rng.integers(14, 20))):
        for j in range(2):
            (good, meant), (long, length) = draw.one(RATINGS), draw.one(RATINGS)
            text = f"{draw.words()} {j}"
            row = {
                "prompt": f"q{i}\n<extra_id_1>Assistant\nWhat?\n<extra_id_1>User\nThat.",
                "response": text,
            }
            rows.append(row | {"helpfulness": good, "verbosity": long, "correctness": 1})
            read += 1
            if not (np.isnan(meant) and np.isnan(length)):
                key = (("user", f"q{i}"), ("assistant", "What?"), ("user", "That.")), text, None
                marks.setdefault(key, []).append([meant, -length])
    facts = Counter((*key, mean_of(values)) for key, values in marks.items())
    world = World({"path": rows}, {"source": "helpsteer"}, read, facts, names)
    _spoil(draw, world, rows, "verbosity", NO_NUMBERS)
    return world


def ultrafeedback(draw: Draw) -> World:
    """Completions with annotations of which some are N/A."""
    names = ("helpfulness", "honesty")
    rows, marks, read = [], {}, 0
    for i in range(int(draw.rng.integers(14, 20))):
        many = []
        for j in range(int(draw.rng.integers(1, 4))):
            found = [draw.one(MARKS) for _ in names]
            text = f"{draw.words()} {j}" if draw.chance(0.95) else None
            notes = {name: {"Rating": cell} for name, (cell, _) in zip(names, found, strict=True)}
            many.append({"response": text, "annotations": notes})
            values = [meant for _, meant in found]
            read += 1
            if text is not None and not np.isnan(values).all():
                key = folded([{"role": "user", "content": f"q{i}"}]), text, None
                marks.setdefault(key, []).append(values)
        rows.append({"instruction": f"q{i}", "completions": many})
    facts = Counter((*key, mean_of(values)) for key, values in marks.items())
    world = World({"path": rows}, {"source": "ultrafeedback"}, read, facts, names)
    bad = (
        None,
        3,
        "x",
        [None],
        [{"response": "x"}],
        [{"response": "x", "annotations": {"honesty": 3}}],
        [3],
        {"a": 1},
    )
    _spoil(draw, world, rows, "completions", bad)
    return world


def summarize(draw: Draw) -> World:
    """Summaries with marks on axes."""
    names = ("accuracy", "coverage")
    rows, marks = [], {}
    for i in range(int(draw.rng.integers(14, 20))):
        for j in range(2):
            found = [draw.one(RATINGS) for _ in names]
            text = f"{draw.words()} {j}"
            axes = {name: cell for name, (cell, _) in zip(names, found, strict=True)}
            rows.append(
                {
                    "info": {"post": f"q{i}", "article": None},
                    "summary": {"text": text, "axes": axes},
                }
            )
            values = [meant for _, meant in found]
            if not np.isnan(values).all():
                asked = [{"role": "user", "content": f"Summarise this post.\n\nq{i}"}]
                marks.setdefault((folded(asked), text, None), []).append(values)
    facts = Counter((*key, mean_of(values)) for key, values in marks.items())
    world = World({"path": rows}, {"source": "summarize"}, len(rows), facts, names)
    bad = (
        None,
        3,
        "x",
        {},
        {"text": "x"},
        {"text": "x", "axes": 3},
        [1],
        {"text": 1.5, "axes": {"accuracy": 1}},
    )
    _spoil(draw, world, rows, "summary", bad)
    return world


def beavertails(draw: Draw) -> World:
    """Answers that several people judge safe or not and free of harms."""
    names = ("harmlessness", "no_violence")
    rows, marks = [], {}
    for i in range(int(draw.rng.integers(14, 20))):
        for j in range(3):
            found = [
                draw.one(((True, 1.0), (False, 0.0), (None, MISSING), (1, 1.0))) for _ in names
            ]
            text = f"{draw.words()} {j // 2}"
            harms = {"violence,aiding_and_abetting,incitement": found[1][0], "self_harm": False}
            rows.append(
                {"prompt": f"q{i}", "response": text, "is_safe": found[0][0], "category": harms}
            )
            values = [found[0][1], 1.0 - found[1][1]]
            if not np.isnan(values).all():
                marks.setdefault(
                    (folded([{"role": "user", "content": f"q{i}"}]), text, None), []
                ).append(values)
    facts = Counter((*key, mean_of(values)) for key, values in marks.items())
    world = World({"path": rows}, {"source": "beavertails"}, len(rows), facts, names)
    _spoil(draw, world, rows, "category", (None, 3, "x", [], {}, {"self_harm": True}, [True]))
    return world


def topical_chat(draw: Draw) -> World:
    """Dialogues with mean ratings of their answers."""
    names = ("engagingness", "groundedness")
    rows, facts = [], Counter[Any]()
    for i in range(int(draw.rng.integers(14, 20))):
        asked: list[dict[str, str]] = []
        for j in range(2):
            found = [draw.one(RATINGS) for _ in names]
            text = f"{draw.words()} {j}"
            rows.append(
                {
                    "source": f"turn {i}",
                    "context": f"fact {i}",
                    "system_id": j,
                    "system_output": text,
                    "scores": {name: cell for name, (cell, _) in zip(names, found, strict=True)},
                }
            )
            content = f"Fact: fact {i} Conversation: A: turn {i} Write the next turn of B, using the fact."
            asked = [{"role": "user", "content": content}]
            facts[folded(asked), text.strip(), None, mean_of([[meant for _, meant in found]])] += 1
    world = World({"path": rows}, {"source": "topical_chat"}, len(rows), facts, names)
    _spoil(
        draw,
        world,
        rows,
        "scores",
        (None, 3, "x", [1], {"engagingness": "x"}, {"engagingness": [1]}, [[1]]),
    )
    return world


def _spoil(draw: Draw, world: World, rows: list[Row], column: str, bad: Any) -> None:
    if draw.chance(0.6):
        return
    row = int(draw.rng.integers(len(rows)))
    rows[row][column] = draw.one(bad)
    world.refuse(
        f"{column}={rows[row][column]!r:.40}", f"line {row + 1}" if draw.kind == "json" else ""
    )


PUBLISHED = {
    "safe_rlhf": safe_rlhf, "helpsteer": helpsteer, "ultrafeedback": ultrafeedback, "summarize": summarize,
    "beavertails": beavertails, "topical_chat": topical_chat,
}  # fmt: skip
