"""Presets of published sets read files of the schema they were published in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from reading_helpers import Rows, by_id, task, write

from conftest import PROJECT
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.sources.hub import BEAVERTAILS_HARMS
from mopo_pipeline.sources.load import SourceData, load_source

PROMPTS = 9


def dialogue(i: int, answer: str) -> str:
    return f"\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: q{i}\n\nAssistant: {answer}"


def rated(name: str, answers: Any) -> Rows:
    return [answers(i, j) | {name: f"q{i}"} for i in range(PROMPTS) for j in range(2)]


def annotation(evaluator: str, pref: str) -> dict[str, Any]:
    """One person's word on a pair as MultiPref has it."""
    aspects = {
        f"{aspect}_{of}": said
        for aspect in ("overall", "helpful", "truthful", "harmless")
        for of, said in (
            ("pref", pref), ("confidence", "fairly-confident"), ("checked_reasons", ["r"]), ("own_reason", None),
        )
    }  # fmt: skip
    return {"evaluator": evaluator, "timestamp": "t", "time_spent": 9} | aspects


VOTES = {"multipref": 4}
"""Labels of a pair, where there are several."""

AXES = ("instruction_following", "honesty", "truthfulness", "helpfulness")
PUBLISHED: dict[str, Rows] = {
    "hh_rlhf": [
        {"chosen": dialogue(i, "yes"), "rejected": dialogue(i, "no")} for i in range(PROMPTS)
    ],
    "safe_rlhf": [
        {
            "prompt": f"q{i}",
            "response_0": "yes",
            "response_1": "no",
            "is_response_0_safe": True,
            "better_response_id": 0,
            "safer_response_id": 1,
        }
        for i in range(PROMPTS)
    ],
    "helpsteer": rated(
        "prompt",
        lambda i, j: {
            "response": ("yes", "no")[j],
            "helpfulness": 4 - j,
            "correctness": 4,
            "coherence": 4,
            "complexity": 2,
            "verbosity": 2 - j,
        },
    ),
    "helpsteer3": [
        {
            "domain": "general",
            "language": "english",
            "context": [{"role": "user", "content": f"q{i}"}],
            "response1": "yes",
            "response2": "no",
            "overall_preference": -2,
            "individual_preference": [
                {"score": -2, "reasoning": "r", "feedback1": "f", "feedback2": "f"}
            ],
        }
        for i in range(PROMPTS)
    ],
    "multipref": [
        {
            "comparison_id": f"c{i}",
            "prompt_id": f"p{i}",
            "text": f"q{i}",
            "model_a": "x",
            "model_b": "y",
            "completion_a": ("yes", "no")[i % 2],
            "completion_b": ("no", "yes")[i % 2],
            "source": "s",
            "category": "c",
            "normal_worker_annotations": [
                annotation("n1", f"{'AB'[i % 2]}-is-clearly-better"),
                annotation("n2", f"{'AB'[i % 2]}-is-slightly-better"),
            ],
            "expert_worker_annotations": [
                annotation(f"e{k}", f"{'AB'[i % 2]}-is-slightly-better") for k in range(2)
            ],
        }
        for i in range(PROMPTS)
    ],
    "webgpt": [
        {
            "question": {"dataset": "eli5", "id": str(i), "full_text": f"q{i}"},
            **{
                f"{what}_{side}": value
                for side, text in enumerate(("yes", "no") if i % 2 else ("no", "yes"))
                for what, value in (
                    ("quotes", {"title": ["t"], "extract": ["e"]}),
                    ("answer", text),
                    ("tokens", {"prefix": [1], "completion": [2]}),
                    ("score", 0.5 if text == "yes" else -0.5),
                )
            },
        }
        for i in range(PROMPTS)
    ],
    "beavertails": [
        {
            "prompt": f"q{i}",
            "response": text,
            "category": {harm: harm in harms for harm in BEAVERTAILS_HARMS},
            "is_safe": not harms,
        }
        for i in range(PROMPTS)
        for text, harms in (
            ("yes", ()),
            ("no", ("self_harm",)),
            ("no", ("violence,aiding_and_abetting,incitement",)),
            ("no", ()),
        )
    ],
    "reddit_summary": [
        {
            "Summary_A": [
                {"role": "user", "content": f"Summarise q{i}"},
                {"role": "assistant", "content": ("yes", "no")[i % 2]},
            ],
            "Summary_B": [
                {"role": "user", "content": f"Summarise q{i}"},
                {"role": "assistant", "content": ("no", "yes")[i % 2]},
            ],
            "Quality": (1, -1)[i % 2],
            "Verbosity": 0,
        }
        for i in range(PROMPTS)
    ],
    "ultrafeedback": [
        {
            "source": "sharegpt",
            "instruction": f"q{i}",
            "models": ["a", "b"],
            "correct_answers": ["None"],
            "completions": [
                {
                    "model": "a",
                    "response": text,
                    "overall_score": 8.0,
                    "fine-grained_score": 4.0,
                    "annotations": {axis: {"Rating": rating, "Rationale": "r"} for axis in AXES},
                }
                for text, rating in (("yes", "5"), ("no", "N/A" if i == 0 else "2"))
            ],
        }
        for i in range(PROMPTS)
    ],
    "summarize": [
        {
            "info": {
                "id": "t3_x",
                "post": f"q{i}",
                "title": "t",
                "subreddit": "s",
                "article": None,
            },
            "summary": {
                "text": text,
                "policy": "p",
                "note": "n",
                "axes": {"overall": 4, "accuracy": 7, "coverage": mark, "coherence": 7},
            },
            "worker": "w",
            "batch": "b",
            "split": "valid2",
        }
        for i in range(PROMPTS)
        for text, mark in (("yes", 6), ("no", 3))
    ],
}


def preset(name: str, path: Path) -> tuple[SourceData, tuple[str, ...]]:
    given = yaml.safe_load((PROJECT / f"conf/{name}/parameters.yml").read_text(encoding="utf-8"))
    ingest, names = given["ingest"], tuple(o["name"] for o in given["task"]["objectives"])
    for part in ingest.get("parts", {}).values():
        part["path"] = path
    if "parts" not in ingest:
        ingest["path"] = path
    return load_source(IngestParams.model_validate(ingest), task(*names)), names


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_preset_reads_its_schema_and_knows_who_wins(
    tmp_path: Path, name: str, suffix: str
) -> None:
    data, names = preset(name, write(tmp_path / f"d{suffix}", PUBLISHED[name]))
    assert data.responses["prompt_id"].nunique() == PROMPTS
    texts = by_id(data)
    if data.judgements.empty:
        primary = data.responses.assign(text=data.responses["response"]).groupby("text")
        mean = primary[f"score_{names[0]}"].mean()
        assert mean["yes"] > mean["no"]
        return
    first = data.judgements.dropna(subset=[names[0]])
    won = [
        row["response_a" if row[names[0]] > 0.5 else "response_b"] for _, row in first.iterrows()
    ]
    assert texts[won].tolist() == ["yes"] * PROMPTS * VOTES.get(name, 1)


def test_what_several_people_say_of_an_answer_is_averaged_harm_by_harm(tmp_path: Path) -> None:
    data, _ = preset("beavertails", write(tmp_path / "d.parquet", PUBLISHED["beavertails"]))
    marks = data.responses.groupby("response")[
        ["score_harmlessness", "score_no_violence", "score_no_hate_speech"]
    ].mean()
    np.testing.assert_allclose(marks.loc["no"], [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(marks.loc["yes"], [1, 1, 1])


def test_a_sign_of_zero_is_a_tie_and_the_preset_reads_the_converted_file_too(
    tmp_path: Path,
) -> None:
    rows = PUBLISHED["reddit_summary"]
    data, names = preset("reddit_summary", write(tmp_path / "d.parquet", rows))
    assert set(data.judgements["verbosity"]) == {0.5}
    converted = {
        "chosen": "Summary_A", "rejected": "Summary_B", "raco_s_quality": "Quality", "raco_s_verbosity": "Verbosity",
    }  # fmt: skip
    path = write(tmp_path / "c.jsonl", [{c: row[n] for c, n in converted.items()} for row in rows])
    columns = {name: f"raco_s_{name}" for name in names}
    given = {"source": "files", "path": path, "columns": columns, "strongest": 1}
    other = load_source(IngestParams.model_validate(given), task(*names))
    assert other.judgements.equals(data.judgements)


def test_each_of_four_people_has_a_vote_of_five_steps(tmp_path: Path) -> None:
    data, names = preset("multipref", write(tmp_path / "d.parquet", PUBLISHED["multipref"]))
    votes = data.judgements.groupby("annotator")[list(names)].agg(lambda v: tuple(v[:2]))
    assert sorted(votes.index) == ["e0", "e1", "n1", "n2"]
    assert set(votes.loc["n1"]) == {(1.0, 0.0)}
    assert set(votes.loc["n2"]) == {(0.75, 0.25)}


@pytest.mark.parametrize("name", ["truthfulqa", "topical_chat", *sorted(PUBLISHED)])
def test_no_preset_names_a_file_of_this_computer(name: str) -> None:
    text = (PROJECT / f"conf/{name}/parameters.yml").read_text(encoding="utf-8")
    ingest = yaml.safe_load(text)["ingest"]
    assert str(ingest.get("path", "hf://")).startswith("hf://")
    assert (PROJECT / f"docs/sources/{name}.md").is_file()
