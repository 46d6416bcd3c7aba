"""Real files mangled byte by byte: refused in one line, or every row that is read stands in the file."""

import gzip
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import load_source

ROWS = 80
"""Rows of a real file that are mangled at a time."""

REAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "hh_harmless_base_test.jsonl.gz": ("hh_rlhf", ("harmlessness",)),
    "truthfulqa/truthfulqa_10.jsonl": ("files", ("truthful", "informative")),
    "topical_chat.json": ("topical_chat", ("engagingness", "groundedness")),
}


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(len(content), size=int(rng.integers(1, 6))):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _hole(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    return content[:at] + content[at + int(rng.integers(1, 400)) :]


def _again(content: bytes, rng: np.random.Generator) -> bytes:
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 4000))
    return content[: at + size] + content[at:]


def _recoded(content: bytes, rng: np.random.Generator) -> bytes:
    code = ("latin-1", "utf-16", "utf-16-le", "cp1252", "utf-32", "utf-8-sig", "cp037")[
        rng.integers(7)
    ]
    return content.decode("utf-8", errors="replace").encode(code, errors="replace")


def _line_ends(content: bytes, rng: np.random.Generator) -> bytes:
    return content.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b" ", b"")[rng.integers(5)])


def _replaced(content: bytes, rng: np.random.Generator) -> bytes:
    old = (b'"', b":", b"{", b"}", b",", b" 1", b"null", b"e", b"\\")[rng.integers(9)]
    new = (b"", b"'", b"\x00", b"\xff", b"\\", b"NaN", b"[", b"}")[rng.integers(8)]
    return content.replace(old, new, int(rng.integers(1, 4)))


WAYS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _flip, _cut, _hole, _again, _recoded, _line_ends, _replaced,
)  # fmt: skip


def mangled(seed: int, folder: Path, real: Path) -> str | None:
    """Mangle rows of a real file, read them and say what is wrong with the answer."""
    rng = np.random.default_rng([seed, 11])
    name = list(REAL)[seed % len(REAL)]
    content = _sample(real / name, rng)
    for _ in range(int(rng.integers(1, 3))):
        content = WAYS[rng.integers(len(WAYS))](content, rng) or b"x"
    raw, packed = content, name.endswith(".gz") or rng.random() < 0.2
    if packed:
        raw = gzip.compress(content, mtime=0)
        if rng.random() < 0.3:
            raw, content = (_cut, _flip)[rng.integers(2)](raw, rng) or b"x", b""
    path = folder / Path(name.removesuffix(".gz")).name
    path = path.with_suffix(path.suffix + ".gz") if packed else path
    path.write_bytes(raw)
    return _fault(path, content, name)


def _sample(path: Path, rng: np.random.Generator) -> bytes:
    """Some rows of a real file, written as it is."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if path.suffix == ".json":
        rows = json.loads(content)
        start = int(rng.integers(len(rows) - ROWS))
        return json.dumps(rows[start : start + ROWS], ensure_ascii=False, indent=1).encode()
    lines = content.splitlines()
    start = int(rng.integers(len(lines) - ROWS))
    return b"\n".join(lines[start : start + ROWS])


def _fault(path: Path, content: bytes, name: str) -> str | None:
    source, names = REAL[name]
    objectives = [{"name": n, **({"threshold": 0.4} if i else {})} for i, n in enumerate(names)]
    params = IngestParams.model_validate({"source": source, "path": path})
    try:
        data = load_source(params, TaskParams.model_validate({"objectives": objectives}))
    except InputError as error:
        said = str(error)
        if "\n" in said:
            return f"more than one line: {said}"
        return None if str(path) in said else f"names no file: {said}"
    except Exception:
        return f"traceback: {traceback.format_exc(limit=-3)}"
    rows = _rows(content, name)
    if rows is None:
        return "read, though its rows cannot be"
    unit = "pairs" if source == "hh_rlhf" else "responses"
    told = data.report["rows"][unit]  # type: ignore[index]
    if told["read"] != len(rows) or told["read"] != told["kept"] + told["dropped"]:
        return f"counts: {told} of {len(rows)} rows"
    written = json.dumps(rows, ensure_ascii=False)
    strange = [
        text
        for text in data.responses["response"]
        if json.dumps(text, ensure_ascii=False)[1:-1] not in written
    ]
    return f"an answer that is not in the file: {strange[0]!r}" if strange else None


def _rows(content: bytes, name: str) -> list[Any] | None:
    """Rows as another reader finds them; None: it cannot."""
    try:
        text = content.decode("utf-8-sig")
        if name.endswith(".json") and text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        return None
