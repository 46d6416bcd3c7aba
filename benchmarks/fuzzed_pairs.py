"""Fuzzed files of labelled pairs, and what must come out of each."""

from collections import Counter
from typing import Any

import numpy as np

from fuzzed_cells import BAD_WEIGHTS, MISSING, NO_NUMBERS, OUT_OF_RANGE, WEIGHTS, Draw, folded
from fuzzed_world import NAMES, Row, World, pair_fact, place_of, spoil_number


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
        if meant_a != meant_b and not np.isnan(labels).all() and weight:
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
        world.refuse(f"{column}={rows[row][column]!r:.40}", place_of(draw, row), column)
    elif kind == "label":
        spoil_number(draw, world, rows, "good", NO_NUMBERS)
    elif kind == "range" and strongest is None:
        spoil_number(draw, world, rows, "safe", OUT_OF_RANGE)
    elif kind == "weight":
        spoil_number(draw, world, rows, "weight", BAD_WEIGHTS)
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
        spoil_number(draw, world, rows, "safe", (*NO_NUMBERS, *OUT_OF_RANGE))
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
        world.refuse(f"{column}={bad!r}", place_of(draw, row), "judgements")
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
