"""Sources: what a user's file may look like, and the one line each mistake gets."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.load import load_source

REAL = Path(os.environ.get("MOPO_REAL_DATA", "/nonexistent"))


def task(*names: str) -> TaskParams:
    constrained = [{"name": n, "threshold": 0.4} for n in names[1:]]
    return TaskParams.model_validate({"objectives": [{"name": names[0]}, *constrained]})


def load(path: Path, *names: str, **options: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    params = IngestParams.model_validate({"source": "files", "path": path} | options)
    data = load_source(params, task(*names))
    return data.responses, data.judgements


def pairs(n: int = 12) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"question {i // 2}",
            "response_a": f"a{i}",
            "response_b": f"b{i}",
            "good": 1.0,
            "safe": None if i == 3 else 0.5,
        }
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_labelled_pairs_of_texts(tmp_path: Path, suffix: str) -> None:
    responses, judgements = load(write(tmp_path / f"d{suffix}", pairs()), "good", "safe")
    assert len(responses) == 24
    assert responses["prompt_id"].nunique() == 6
    assert len(judgements) == 12
    texts = responses.set_index("response_id")["response"]
    assert texts[judgements["response_a"]].tolist() == [f"a{i}" for i in range(12)]
    assert int(judgements["safe"].isna().sum()) == 1
    assert (responses.groupby("prompt_id")["split"].nunique() == 1).all()


def test_rated_responses_and_a_second_file_of_labels(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"q{i // 3}",
            "response": f"r{i}",
            "response_id": i,
            "prompt_id": i // 3,
            "good": i,
        }
        for i in range(18)
    ]
    rated, none = load(write(tmp_path / "r.csv", rows), "good")
    assert none.empty
    assert rated["score_good"].tolist() == list(range(18))
    labels = [
        {"prompt_id": i, "response_a": 3 * i, "response_b": 3 * i + 1, "good": 1.0}
        for i in range(6)
    ]
    _, judgements = load(
        write(tmp_path / "r.jsonl", rows), "good", judgements_path=write(tmp_path / "l.csv", labels)
    )
    assert len(judgements) == 6


def broken(change: dict[str, object], row: int = 1) -> list[dict[str, object]]:
    rows = pairs()
    rows[row] = rows[row] | change
    return rows


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (broken({"good": 1.5}), "d.jsonl: line 2, column good: label 1.5 lies outside"),
        (broken({"good": "yes"}), "'yes' is not a number"),
        (broken({"response_a": None}), "d.jsonl: line 2, column response_a: missing value"),
        (broken({"weight": -1}), "d.jsonl: line 2, column weight: -1 is negative"),
        (broken({"weight": "high"}), "d.jsonl: line 2, column weight: 'high' is not a number"),
        (broken({"weight": "inf"}), "d.jsonl: line 2, column weight: 'inf' is not a number"),
        (broken({"good": "0,5"}), "'0,5' is not a number; write the decimal point as '.'"),
        (broken({"response_a": 1.5}), "line 2, column response_a: '1.5' is a float, not text"),
        ([r | {"split": "dev"} for r in pairs()], "line 1: unknown split 'dev'"),
        (broken({"split": "train"}), "line 1, column split: missing value"),
        ([{k: v for k, v in r.items() if k != "safe"} for r in pairs()], "objective 'safe'"),
        ([{k: v for k, v in r.items() if k != "prompt"} for r in pairs()], "'prompt'"),
        (pairs(2), "split is empty"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, rows: list[dict[str, object]], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load(write(tmp_path / "d.jsonl", rows), "good", "safe")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.jsonl", '{"prompt": "a"}\n{"prompt": ', "line 2: not valid JSON"),
        ("d.jsonl", '{"prompt": "a"}\n[1]', "line 2: expected a JSON object"),
        ("d.json", '[\n{"prompt" "a"}]', "line 2, column"),
        ("d.json", '{"a": 1}', "JSON list"),
        ("d.txt", "x", "unknown suffix"),
        ("d.csv", "", "the file is empty"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=expected):
        load(tmp_path / name, "good")
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "absent.jsonl", "good")


def test_ids_ratings_and_pairs_are_checked(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i // 3}", "response": f"r{i}", "good": 1.0} for i in range(18)]
    twice = [r | {"response_id": "x"} for r in rows]
    with pytest.raises(InputError, match="response_id 'x' appears twice"):
        load(write(tmp_path / "a.jsonl", twice), "good")
    infinite = write(tmp_path / "b.parquet", [*rows[:-1], rows[-1] | {"good": np.inf}])
    with pytest.raises(InputError, match="row 18, column good: inf is not finite"):
        load(infinite, "good")
    ids = [r | {"response_id": f"r{i}", "prompt_id": f"p{i // 3}"} for i, r in enumerate(rows)]
    across = [{"prompt_id": "p0", "response_a": "r0", "response_b": "r5", "good": 1}]
    with pytest.raises(InputError, match="answers prompt 'p1'"):
        load(
            write(tmp_path / "c.jsonl", ids),
            "good",
            judgements_path=write(tmp_path / "l.jsonl", across),
        )


def test_pocket_names_its_objectives() -> None:
    params = IngestParams.model_validate({"source": "pocket"})
    with pytest.raises(InputError, match="no objective 'humour'"):
        load_source(params, task("humour"))


HUB_ROWS: dict[str, list[dict[str, object]]] = {
    "hh_rlhf": [
        {
            "chosen": f"\n\nHuman: q{i}\n\nAssistant: yes {i}",
            "rejected": f"\n\nHuman: q{i}\n\nAssistant: no {i}",
        }
        for i in range(9)
    ],
    "safe_rlhf": [
        {
            "prompt": f"q{i}",
            "response_0": f"x{i}",
            "response_1": f"y{i}",
            "better_response_id": i % 2,
            "safer_response_id": 1,
        }
        for i in range(9)
    ],
    "helpsteer": [
        {
            "prompt": f"q{i // 2}",
            "response": f"r{i}",
            "helpfulness": 3,
            "correctness": 2,
            "coherence": 4,
            "complexity": 1,
            "verbosity": i % 4,
        }
        for i in range(18)
    ],
    "ultrafeedback": [
        {
            "instruction": f"q{i}",
            "completions": [
                {
                    "response": f"r{i}{j}",
                    "annotations": {
                        name: {"Rating": "N/A" if (i, j) == (0, 2) else str(j)}
                        for name in ("helpfulness", "honesty")
                    },
                }
                for j in range(3)
            ],
        }
        for i in range(9)
    ],
    "summarize": [
        {
            "info": {"post": f"post {i // 2}"},
            "summary": {"text": f"s{i}", "axes": {"overall": 3, "accuracy": i % 7, "coverage": 2}},
        }
        for i in range(18)
    ],
}
HUB_OBJECTIVES = {
    "hh_rlhf": ("harmlessness",), "safe_rlhf": ("helpfulness", "harmlessness"),
    "helpsteer": ("helpfulness", "conciseness"), "ultrafeedback": ("helpfulness", "honesty"),
    "summarize": ("accuracy", "coverage"),
}  # fmt: skip


@pytest.mark.parametrize("source", HUB_ROWS)
def test_published_schemas_from_a_local_file(tmp_path: Path, source: str) -> None:
    path = write(tmp_path / "d.jsonl", HUB_ROWS[source])
    params = IngestParams.model_validate({"source": source, "path": path})
    data = load_source(params, task(*HUB_OBJECTIVES[source]))
    assert data.responses["prompt_id"].nunique() == 9
    if source == "hh_rlhf":
        winner = data.judgements["harmlessness"].map({1.0: "response_a", 0.0: "response_b"})
        texts = data.responses.set_index("response_id")["response"]
        won = [
            texts[row[side]]
            for (_, row), side in zip(data.judgements.iterrows(), winner, strict=True)
        ]
        assert all(text.startswith("yes") for text in won)
        assert set(data.judgements["harmlessness"]) == {0.0, 1.0}
    if source == "ultrafeedback":
        assert len(data.responses) == 26
        assert data.report["dropped"] == {"answers without a rating": 1}
    other = IngestParams.model_validate(
        {"source": source, "path": write(tmp_path / "x.jsonl", [{"a": 1}])}
    )
    with pytest.raises(InputError, match="missing column"):
        load_source(other, task(*HUB_OBJECTIVES[source]))


@pytest.mark.skipif(not REAL.is_dir(), reason="MOPO_REAL_DATA names no folder")
def test_topical_chat() -> None:
    path = REAL / "topical_chat.json"
    params = IngestParams.model_validate({"source": "topical_chat", "path": path})
    data = load_source(params, task("engagingness", "groundedness"))
    assert len(data.responses) == 360
    assert data.responses["prompt_id"].nunique() == 60
    with pytest.raises(InputError, match="no rating for objective 'wit'"):
        load_source(params, task("wit"))


@pytest.mark.skipif(not REAL.is_dir(), reason="MOPO_REAL_DATA names no folder")
def test_hh_harmless() -> None:
    path = REAL / "hh_harmless_base_test.jsonl.gz"
    params = IngestParams.model_validate({"source": "hh_rlhf", "path": path, "limit": 200})
    data = load_source(params, task("harmlessness"))
    assert data.responses["prompt_id"].nunique() == 200
    assert len(data.judgements) >= 199
