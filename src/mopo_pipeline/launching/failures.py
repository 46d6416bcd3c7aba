"""What a training process leaves when it fails, and what is told of it."""

import json
import re
import time
from pathlib import Path

from mopo_pipeline.errors import MopoError, first_line

ERRORS = "errors"


class TrainingFailedError(MopoError, RuntimeError):
    """A training process died; its traceback stands above."""


def record_failure(directory: Path, rank: int, error: BaseException) -> None:
    """Leave a process's error where the launcher finds it."""
    kind = "" if isinstance(error, MopoError) else f"{type(error).__name__}: "
    text = kind + first_line(error)
    (directory / ERRORS).mkdir(exist_ok=True)
    (directory / ERRORS / f"rank-{rank}.json").write_text(
        json.dumps({"rank": rank, "time": time.time(), "error": text}), encoding="utf-8"
    )


def first_failure(errors: Path, tail: str) -> str:
    """Rank and error of what failed first: others fail because it did."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in errors.glob("rank-*.json")]
    if found:
        first = min(found, key=lambda failure: failure["time"])
        return f"rank {first['rank']}: {first['error']}"
    summary = tail[tail.find("Root Cause") :]
    rank = re.search(r"rank\s*: (\d+)", summary)
    code = re.search(r"exitcode\s*: (-?\d+)", summary)
    if rank and code:
        killed = " (killed, perhaps for memory)" if int(code[1]) == -9 else ""
        return f"rank {rank[1]}: exit code {code[1]}{killed}"
    return "an unknown rank: see the messages above"
