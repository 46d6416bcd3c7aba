"""Whatever a file holds: one line that says what is wrong, or every row kept or dropped for a reason."""

import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading_helpers import Rows, load, pairs, rated, task, write

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.counting import account
from mopo_pipeline.sources.load import SourceData, load_source
from mopo_pipeline.sources.messages import response_text

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", " ", "0,5", "nan", "7e400", "[]", "{", '[{"role": "user"}]', "\ud800"]),
    st.lists(st.integers(0, 1), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
    st.sampled_from([[{"role": "assistant", "content": "x"}], [{"from": "gpt", "value": None}]]),
)
LAYOUTS: dict[str, Rows] = {
    "pairs": pairs(14),
    "chosen": [
        {"prompt": f"q{i}", "chosen": "yes", "rejected": "no", "safe": 1} for i in range(14)
    ],
    "rated": rated(7, 2),
    "completions": [
        {"prompt": f"q{i}", "completions": [{"text": "a", "good": 1}, {"text": "b", "good": i}]}
        for i in range(7)
    ],
}


def spoilt(draw: st.DrawFn, rows: Rows) -> Rows:
    """Rows with some cells replaced, some columns gone and some rows said twice."""
    spoilt_rows = [dict(row) for row in rows]
    columns = [*rows[0], "split", "group", "weight", "annotator", "response_id", "prompt_id"]
    for _ in range(draw(st.integers(0, 3))):
        row = spoilt_rows[draw(st.integers(0, len(rows) - 1))]
        row[draw(st.sampled_from(columns))] = draw(CELLS)
    again = draw(st.lists(st.integers(0, len(rows) - 1), max_size=3))
    return spoilt_rows + [spoilt_rows[i] for i in again]


def adds_up(data: SourceData, rows: int) -> None:
    [(unit, counts)] = data.report["rows"].items()  # type: ignore[attr-defined]
    table = data.judgements if unit == "pairs" else data.responses
    reasons = data.report["dropped"]
    assert counts["read"] == rows
    assert counts["kept"] == len(table) == rows - sum(reasons.values())  # type: ignore[attr-defined]


def refused_or_counted(path: Path, rows: int | None, *names: str) -> SourceData | None:
    try:
        data = load(path, *names, chosen="good" if "safe" in names else None)
    except InputError as error:
        assert "\n" not in str(error)
        assert path.name in str(error) or "ingest" in str(error)
        return None
    if rows is not None:
        adds_up(data, rows)
    return data


def labels_written(rows: Rows) -> list[float]:
    """Labels of the rows of pairs that have one and two different answers, in the file's order."""
    told = [row for row in rows if row["good"] is not None and row["good"] == row["good"]]
    told = [row for row in told if not (isinstance(row["good"], str) and not row["good"].strip())]
    sides = [[response_text(row[side]) for side in ("response_a", "response_b")] for row in told]
    return [float(row["good"]) for row, (a, b) in zip(told, sides, strict=True) if a != b]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.data())
@pytest.mark.slow
def test_spoilt_rows_are_refused_by_name_or_counted(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(sorted(LAYOUTS)))
    rows = data.draw(st.composite(spoilt)(LAYOUTS[layout]))
    text = "\n".join(json.dumps(row) for row in rows)
    names = ("good", "safe") if layout == "chosen" else ("good",)
    found = [row.get("completions", [None]) for row in rows]
    answers = sum(len(many) if isinstance(many, list) else 1 for many in found)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "d.jsonl")
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        read = refused_or_counted(path, answers, *names)
    if layout == "pairs" and read is not None:
        assert read.judgements["good"].tolist() == labels_written(rows)


@pytest.mark.parametrize("column", ["annotator", "group"])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_name_with_half_a_surrogate_pair_is_no_fault_of_ours(
    layout: str, column: str, tmp_path: Path
) -> None:
    rows = [dict(row) for row in LAYOUTS[layout]]
    rows[0][column] = "\ud800"
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    refused_or_counted(path, None, *(("good", "safe") if layout == "chosen" else ("good",)))


def contents(suffix: str) -> bytes:
    table, buffer = pd.DataFrame(pairs()), io.BytesIO()
    if suffix == ".parquet":
        table.to_parquet(buffer)
        return buffer.getvalue()
    if suffix == ".csv":
        return table.to_csv(index=False).encode()
    rows = [json.dumps(row) for row in pairs()]
    return ("\n".join(rows) if suffix == ".jsonl" else f"[{','.join(rows)}]").encode()


WHOLE = {suffix: contents(suffix) for suffix in (".csv", ".json", ".jsonl", ".parquet")}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=80)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=3),
    st.integers(0, 10_000),
    st.booleans(),
)
@pytest.mark.slow
def test_files_with_bytes_changed_cut_or_packed_are_refused_or_read(
    suffix: str, changes: list[tuple[int, bytes]], end: int, packed: bool
) -> None:
    content = bytearray(WHOLE[suffix])
    for at, put in changes:
        content[at % len(content) : at % len(content) + len(put)] = put
    raw = bytes(content)
    if packed:
        raw = gzip.compress(raw, mtime=0)
    cut = raw[: end % len(raw)] if end % 3 == 0 else raw
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"d{suffix}.gz" if packed else f"d{suffix}")
        path.write_bytes(cut)
        refused_or_counted(path, None)


def test_a_row_that_vanished_without_a_reason_stops_the_run() -> None:
    with pytest.raises(RuntimeError, match=r"x: 3 pairs read, but 2 kept and \{\} dropped"):
        account("x", {"pairs": 3}, {"pairs": 2}, {"pairs": {"none": 0}})


def test_counts_are_always_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = write(tmp_path / "d.jsonl", pairs())
    load(path)
    assert f"{path}: 12 pairs read, 12 kept, 0 dropped" in caplog.text


def test_responses_and_labels_of_two_files_are_counted_each(tmp_path: Path) -> None:
    rows = [row | {"prompt_id": i // 3, "response_id": i} for i, row in enumerate(rated())]
    votes: Rows = [
        {
            "prompt_id": i,
            "response_a": 3 * i,
            "response_b": 3 * i + 1,
            "good": None if i == 4 else 1,
        }
        for i in range(9)
    ]
    data = load(
        write(tmp_path / "r.jsonl", rows),
        judgements_path=write(tmp_path / "v.jsonl", votes),
        limit=8,
    )
    assert data.report["rows"] == {
        "responses": {"read": 27, "kept": 24, "dropped": 3},
        "pairs": {"read": 9, "kept": 7, "dropped": 2},
    }


@pytest.mark.parametrize("source", ["hh_rlhf", "ultrafeedback"])
def test_rows_of_published_schemas_add_up(tmp_path: Path, source: str) -> None:
    marks: Any = {"good": {"Rating": "N/A"}, "helpfulness": {"Rating": "3"}}
    rows: dict[str, Rows] = {
        "hh_rlhf": [
            {"prompt": f"q{i}", "chosen": "a", "rejected": "b" if i else None} for i in range(9)
        ],
        "ultrafeedback": [
            {
                "instruction": f"q{i}",
                "completions": [
                    {"response": f"{j}" if i else None, "annotations": marks} for j in (1, 2)
                ],
            }
            for i in range(9)
        ],
    }
    path = write(tmp_path / "d.jsonl", rows[source])
    params = IngestParams.model_validate({"source": source, "path": path})
    adds_up(load_source(params, task("helpfulness")), 9 if source == "hh_rlhf" else 18)
