"""Small files as users write them, read through the one entry point."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import SourceData, load_source

Rows = list[dict[str, Any]]


def task(*names: str) -> TaskParams:
    constrained = [{"name": name, "threshold": 0.4} for name in names[1:]]
    return TaskParams.model_validate({"objectives": [{"name": names[0]}, *constrained]})


def load(path: Path | str | None, *names: str, **options: Any) -> SourceData:
    params = IngestParams.model_validate({"source": "files", "path": path} | options)
    return load_source(params, task(*(names or ("good",))))


def write(path: Path, rows: Rows) -> Path:
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    return path


def pairs(n: int = 12, **cells: Any) -> Rows:
    rows = [
        {"prompt": f"question {i}", "response_a": f"a{i}", "response_b": f"b{i}", "good": i % 2}
        for i in range(n)
    ]
    return [row | cells for row in rows]


def rated(prompts: int = 9, answers: int = 3) -> Rows:
    return [
        {"prompt": f"question {p}", "response": f"answer {a}", "good": a}
        for p in range(prompts)
        for a in range(answers)
    ]


def by_id(data: SourceData) -> pd.Series:
    return data.responses.set_index("response_id")["response"]
