"""Fuzzed files of every layout that is read, and what must come out of each."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fuzzed_cells import (
    BAD_WEIGHTS,
    MISSING,
    NO_NUMBERS,
    OUT_OF_RANGE,
    WEIGHTS,
    Draw,
    folded,
)

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


def _place(draw: Draw, row: int) -> str:
    """How a message calls this row, counted from 0, of a file without line ends in its cells."""
    return f"line {row + 1}" if draw.kind == "json" else ""


def _spoil_number(draw: Draw, world: World, rows: list[Row], column: str, bad: Any) -> None:
    row = int(draw.rng.integers(len(rows)))
    cell = draw.one(bad)
    if draw.kind == "csv" and not isinstance(cell, str):
        cell = "x"
    rows[row][column] = cell
    world.refuse(f"{column}={str(cell)[:20]!r} in row {row}", _place(draw, row), column)


def pairs(draw: Draw) -> World:
    """Labelled pairs of texts, perhaps with strengths, weights, annotators and columns of other names."""
    strongest = draw.one((None, None, 1, 3))
    rows, facts = [], Counter[Any]()
    weighted = draw.chance(0.4)
    for i in range(int(draw.rng.integers(14, 22))):
        prompt, messages = draw.prompt(i if draw.chance(0.9) else 0)
        (a, meant_a), (b, meant_b) = draw.answer(), draw.answer()
        row: Row = {"prompt": prompt, "response_a": a, "response_b": b}
        labels = []
        for name in NAMES:
            row[name], label = draw.label()
            if strongest is not None:
                row[name] = None if np.isnan(label) else (2 * label - 1) * strongest
            labels.append(label)
        weight = 1.0
        if weighted:
            row["weight"], weight = draw.one(WEIGHTS)
        if draw.chance(0.3):
            row["annotator"] = draw.one(("ann", 7, None, "", "Bob"))
        rows.append(row)
        if meant_a != meant_b and not np.isnan(labels).all():
            facts[pair_fact(folded(messages), meant_a, meant_b, labels, weight)] += 1
    params: Row = {} if strongest is None else {"strongest": strongest}
    world = World({"path": rows}, params, len(rows), facts)
    if draw.chance(0.5):
        _spoil_pairs(draw, world, rows, strongest)
    elif draw.chance(0.2):
        for row in rows:
            row["left"] = row.pop("response_a")
            row["response_a"] = "other"
        world.params["columns"] = {"response_a": "left"}
    return world


def _spoil_pairs(draw: Draw, world: World, rows: list[Row], strongest: Any) -> None:
    row = int(draw.rng.integers(len(rows)))
    kind = draw.one(("text", "label", "range", "weight", "column", "split", "text"))
    if kind == "text":
        column = draw.one(("prompt", "response_a", "response_b"))
        rows[row][column] = draw.bad_text()
        world.refuse(f"{column}={rows[row][column]!r:.40}", _place(draw, row), column)
    elif kind == "label":
        _spoil_number(draw, world, rows, "good", NO_NUMBERS)
    elif kind == "range" and strongest is None:
        _spoil_number(draw, world, rows, "safe", OUT_OF_RANGE)
    elif kind == "weight":
        _spoil_number(draw, world, rows, "weight", BAD_WEIGHTS)
    elif kind == "column":
        column = draw.one(("prompt", "response_a", "good"))
        for each in rows:
            del each[column]
        world.refuse(f"no column {column}", column)
    elif kind == "split":
        for i, each in enumerate(rows):
            each["split"] = ("train", "validation", "test")[i % 3]
        rows[row]["split"] = draw.one(("tset", "Train", "", None, 1.5))
        world.refuse(f"split={rows[row]['split']!r}", "split")


def chosen(draw: Draw) -> World:
    """Chosen and rejected in TRL's layouts and as transcripts, the second objective in a column."""
    layout = draw.one(("texts", "messages", "implicit", "transcript"))
    source = "hh_rlhf" if layout != "messages" and draw.chance(0.4) else "files"
    rows, facts = [], Counter[Any]()
    for i in range(int(draw.rng.integers(14, 22))):
        _, messages = draw.prompt(i)
        yes, no = f"yes {draw.words()} 1".strip(), f"no {draw.words()} 2".strip()
        row: Row = {}
        if draw.kind == "arrow" and draw.chance(0.5):
            messages = [
                m | {"name": None, "from": None, "value": None, "tool_calls": None}
                for m in messages
            ]
        if layout == "transcript":
            said = {"user": "Human", "assistant": "Assistant"}
            messages = [m | {"content": m["content"].strip()} for m in messages]
            text = "".join(f"\n\n{said[m['role']]}: {m['content']}" for m in messages)
            row |= {
                "chosen": f"{text}\n\nAssistant: {yes}",
                "rejected": f"{text}\n\nAssistant: {no}",
            }
        elif layout == "implicit":
            ends = ([{"role": "assistant", "content": text}] for text in (yes, no))
            row |= dict(
                zip(("chosen", "rejected"), ([*messages, *end] for end in ends), strict=True)
            )
        else:
            cells = [
                [{"role": "assistant", "content": t}] if layout == "messages" else t
                for t in (yes, no)
            ]
            row |= {"prompt": messages, "chosen": cells[0], "rejected": cells[1]}
        label = MISSING
        if source == "files":
            row["safe"], label = draw.label()
        kept = not draw.chance(0.06)
        if not kept:
            row[draw.one(("chosen", "rejected"))] = draw.bad_text()
        rows.append(row)
        if kept:
            facts[pair_fact(folded(messages), yes, no, [1.0, label])] += 1
    world = World({"path": rows}, {"source": source, "chosen": "good"}, len(rows), facts)
    if source == "files" and draw.chance(0.2):
        _spoil_number(draw, world, rows, "safe", (*NO_NUMBERS, *OUT_OF_RANGE))
    return world


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
        world.refuse(f"{column}={rows[row_][column]!r:.40}", _place(draw, row_), column)
    elif kind == "rating":
        _spoil_number(draw, world, rows, prefix + draw.one(NAMES), NO_NUMBERS)
    elif kind == "id" and ids:
        rows[row_]["response_id"] = draw.one((rows[row_ - 1]["response_id"], None))
        world.refuse(f"response_id={rows[row_]['response_id']!r:.40}", "response_id")
    elif kind == "column":
        for each in rows:
            del each[prefix + "safe"]
        world.refuse("no column safe", "safe")
    return world


def mean_of(values: list[list[float]]) -> tuple[float | None, ...]:
    """Mean of each column of ratings, None where all are missing."""
    found = []
    for column in zip(*values, strict=True):
        told = [value for value in column if not np.isnan(value)]
        found.append(round(float(np.mean(told)), 9) if told else None)
    return tuple(found)


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


def votes(draw: Draw) -> World:
    """Responses in one file, votes on their ids in another."""
    n = int(draw.rng.integers(12, 16))
    rows, judged, facts = [], [], Counter[Any]()
    for i in range(n):
        texts = []
        for j in range(3):
            prompt, messages = draw.prompt(i)
            texts.append(f"{draw.words()} {j}")
            rows.append(
                {
                    "prompt_id": f"{i:02d}",
                    "response_id": f"{i:02d}{j}",
                    "prompt": prompt,
                    "response": texts[-1],
                }
            )
        for _ in range(int(draw.rng.integers(1, 4))):
            a, b = (int(x) for x in draw.rng.permutation(3)[:2])
            cells = [draw.label() for _ in NAMES]
            judged.append(
                {"prompt_id": f"{i:02d}", "response_a": f"{i:02d}{a}", "response_b": f"{i:02d}{b}"}
                | dict(zip(NAMES, (cell for cell, _ in cells), strict=True))
            )
            if not all(np.isnan(value) for _, value in cells):
                facts[pair_fact(folded(messages), texts[a], texts[b], [v for _, v in cells])] += 1
    world = World({"path": rows, "judgements_path": judged}, {}, len(judged), facts)
    if draw.chance(0.5):
        row = int(draw.rng.integers(len(judged)))
        column = draw.one(("response_a", "response_b", "prompt_id", "good"))
        given = {"good": ("x", 2, -1), "prompt_id": ("99", "", None)}
        bad = draw.one(
            given.get(
                column,
                (
                    "99",
                    judged[row]["response_a" if column == "response_b" else "response_b"],
                    rows[-1 if judged[row]["prompt_id"] != rows[-1]["prompt_id"] else 0][
                        "response_id"
                    ],
                    None,
                ),
            )
        )
        judged[row][column] = bad
        world.refuse(f"{column}={bad!r}", _place(draw, row), "judgements")
    return world


def parts(draw: Draw) -> World:
    """Two files of pairs of one objective each, weighed."""
    first, second = pairs(draw), pairs(draw)
    weight = draw.one((0.5, 2.0))
    meant = None
    if first.meant is not None and second.meant is not None:
        meant = Counter(first.meant)
        for (*fact, own), count in second.meant.items():
            meant[(*fact, round(own * weight, 9))] += count
    for world in (first, second):
        for row in world.files["path"]:
            for side in ("response_a", "response_b"):
                if "left" in row:
                    row[side] = row.pop("left")
    strongest = {world.params.get("strongest") for world in (first, second)}
    files = {"one": first.files["path"], "other": second.files["path"]}
    read = first.read + second.read
    lacks = "no column good" in (*first.spoilt, *second.spoilt)
    if len(strongest) > 1 or lacks:  # a file may leave the labels of an objective to the others
        return parts(draw)
    params = {} if None in strongest else {"strongest": strongest.pop()}
    found = World(files, params, read, meant, parts={"one": {}, "other": {"weight": weight}})
    found.spoilt = first.spoilt + second.spoilt
    return found


LAYOUTS: dict[str, Callable[[Draw], World]] = {
    "pairs": pairs, "chosen": chosen, "rated": rated, "completions": completions, "votes": votes, "parts": parts,
}  # fmt: skip
