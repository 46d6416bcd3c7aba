"""Files of every layout, spoilt by number, and real ones mangled: refused in one line, or read as they mean.

    make fuzz ARGS="--files 10000 --real /path/to/real --mangled 1000"

Goes on where it stopped; each fault is a line of the log with the number that makes its file again (``--only``).
"""

import argparse
import contextlib
import json
import logging
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fuzzed_cells import Draw, folded, garble
from fuzzed_hub import PUBLISHED
from fuzzed_inside import inside
from fuzzed_pairs import chosen, pairs, parts, votes
from fuzzed_rated import completions, rated
from fuzzed_world import World, pair_fact
from fuzzed_writing import write
from mangled import mangled
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import SourceData, load_source

LAYOUTS = {
    "pairs": pairs, "chosen": chosen, "rated": rated, "completions": completions, "votes": votes, "parts": parts,
    "inside": inside,
}  # fmt: skip
KINDS = {"json": (".jsonl", ".jsonl", ".json"), "csv": (".csv",), "arrow": (".parquet", "")}
"""Suffixes by kind of file; none is a folder of ``save_to_disk``."""

SHARES = {"json": 0.6, "csv": 0.25, "arrow": 0.15}
FOLDER = 0.2
"""Share of the files of Arrow that are folders: they take long to write."""


def world_of(seed: int) -> tuple[World, str, np.random.Generator]:
    """The rows and their meaning, by number, and the suffix they are written under."""
    rng = np.random.default_rng([seed, 7])
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    layout = str(rng.choice([*LAYOUTS, "pairs", "rated", *PUBLISHED]))
    if layout in (*PUBLISHED, "inside") or (layout == "completions" and kind == "csv"):
        kind = "json"
    draw = Draw(rng, kind)
    world = (LAYOUTS | PUBLISHED)[layout](draw)
    if kind == "json" and draw.chance(0.25):
        _garble(draw, world)
    suffix = (
        "" if kind == "arrow" and draw.chance(FOLDER) else draw.one([s for s in KINDS[kind] if s])
    )
    return world, suffix, rng


def _garble(draw: Draw, world: World) -> None:
    """Replace cells at random; what the file means then is unknown."""
    world.garbled, world.spoilt = True, ["garbled"]
    rows = draw.one(list(world.files.values()))
    for _ in range(int(draw.rng.integers(1, 4))):
        row = int(draw.rng.integers(len(rows)))
        garbled = garble(draw, rows[row])
        rows[row] = garbled


def found_in(data: SourceData, names: tuple[str, ...], ids: bool) -> Counter[Any]:
    """Facts of what was read, as the world states them."""
    texts = {row.response_id: row for row in data.responses.itertuples()}
    prompts = {text: folded(json.loads(text)) for text in data.responses["prompt"].unique()}
    if not data.judgements.empty:
        return Counter(
            pair_fact(
                prompts[texts[row["response_a"]].prompt],
                *(texts[row[side]].response for side in ("response_a", "response_b")),
                [row[name] for name in names],
                row["weight"],
            )
            for row in data.judgements.to_dict("records")
        )
    marks = data.responses[[f"score_{name}" for name in names]].to_numpy(dtype=float)
    return Counter(
        (prompts[row.prompt], row.response, row.response_id if ids else None,
         tuple(None if np.isnan(m) else round(float(m), 9) for m in given))
        for row, given in zip(data.responses.itertuples(), marks, strict=True)
    )  # fmt: skip


def fault_of(world: World, paths: dict[str, Path]) -> str | None:
    """What is wrong with the answer to these files; None: nothing."""
    objectives = [
        {"name": name, **({"threshold": 0.4} if i else {})} for i, name in enumerate(world.names)
    ]
    task = TaskParams.model_validate({"objectives": objectives})
    parts = {name: part | {"path": paths[name]} for name, part in world.parts.items()}
    given = {"parts": parts} if parts else paths
    params = IngestParams.model_validate({"source": "files"} | world.params | given)
    try:
        data = load_source(params, task)
    except InputError as error:
        return _fault_of_words(world, str(error), paths)
    except Exception:
        return f"traceback: {traceback.format_exc(limit=-3)}"
    if world.garbled:
        return _fault_of_sums(data)
    if world.meant is None:
        return f"accepted: {world.spoilt}"
    if lost := _fault_of_counts(world, data):
        return lost
    ids = "response_id" in next(iter(world.files.values()))[0]
    found = found_in(data, world.names, ids)
    if found != world.meant:
        more, less = (
            list((found - world.meant).items())[:2],
            list((world.meant - found).items())[:2],
        )
        return f"something else: read {more}, written {less}"
    return None


def _fault_of_words(world: World, said: str, paths: dict[str, Path]) -> str | None:
    if "\n" in said:
        return f"more than one line: {said}"
    if world.garbled:
        return None
    if world.meant:
        return f"refused what is good: {said}"
    if not any(str(path) in said for path in paths.values()):
        return f"names no file: {said}"
    jsonl = str(next(iter(paths.values()))).endswith((".jsonl", ".jsonl.gz", ".jsonl.zst"))
    absent = [
        word for word in world.at if word not in said and (jsonl or not word.startswith("line"))
    ]
    return f"{world.spoilt} is refused without {absent}: {said}" if absent else None


def _fault_of_sums(data: SourceData) -> str | None:
    """What does not add up in itself."""
    for unit, told in data.report["rows"].items():  # type: ignore[attr-defined]
        kept = len(data.responses if unit == "responses" else data.judgements)
        if told["read"] != told["kept"] + told["dropped"] or told["kept"] != kept:
            return f"counts: {told}, out {kept}"
    return None


def _fault_of_counts(world: World, data: SourceData) -> str | None:
    units = data.report["rows"]
    unit = "responses" if data.judgements.empty else "pairs"
    kept = len(data.responses if unit == "responses" else data.judgements)
    told = dict(units[unit])  # type: ignore[index]
    if told != {"read": world.read, "kept": kept, "dropped": world.read - kept}:
        return f"counts: {told}, written {world.read}, out {kept}"
    reasons = sum(data.report["dropped"].values())  # type: ignore[attr-defined]
    return (
        None
        if reasons == told["dropped"]
        else f"dropped without a reason: {data.report['dropped']}"
    )


def made(seed: int, folder: Path) -> str | None:
    """Make the file of this number, read it, and say what is wrong."""
    world, suffix, rng = world_of(seed)
    paths = {name: write(folder / name, rows, suffix, rng) for name, rows in world.files.items()}
    return fault_of(world, paths)


def main() -> None:
    """Make, read and tell; the numbers done stand in the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--real", type=Path, help="folder of real files")
    parser.add_argument("--mangled", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("build/fuzz.jsonl"))
    parser.add_argument("--only", help="one number, as made:17 or real:3")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    numbers = [f"made:{i}" for i in range(given.files)] + [
        f"real:{i}" for i in range(given.mangled)
    ]
    done: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        entries = (json.loads(line) for line in given.log.read_text(encoding="utf-8").splitlines())
        done = {entry["number"]: entry["fault"] for entry in entries}
    with given.log.open("a", encoding="utf-8") as log:
        for number in [given.only] if given.only else numbers:
            if number in done and not given.only:
                continue
            kind, seed = number.split(":")
            with tempfile.TemporaryDirectory() as folder:
                run = (
                    made(int(seed), Path(folder))
                    if kind == "made"
                    else mangled(int(seed), Path(folder), given.real)
                )
            if given.only:
                print(run)
                return
            done[number] = run
            log.write(json.dumps({"number": number, "fault": run}) + "\n")
            log.flush()
    faults = {number: fault for number, fault in done.items() if fault}
    print(f"{len(done)} files, {len(faults)} faults")
    for number, fault in list(faults.items())[:20]:
        print(f"{number}: {fault[:400]}")
    print(f"ratio: faults={len(faults)}")


if __name__ == "__main__":
    main()
