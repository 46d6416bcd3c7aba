"""Prompts alone: candidates from a model, compared by a chat model, to win rates."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loopback import Said
from mopo_pipeline.errors import InputError
from mopo_pipeline.judges.base import Comparer
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.parameters.preferences import PreferencesParams
from mopo_pipeline.pipelines.preferences import nodes
from mopo_pipeline.sources.judged import judged_candidates
from mopo_pipeline.sources.load import load_source
from stub_endpoint import completion, in_turn, stub_endpoint
from tiny_tokenizers import chatml_tokenizer, save_tiny

TASK = TaskParams.model_validate(
    {"objectives": [{"name": "brief"}, {"name": "kind", "threshold": 0.5}]}
)
RUBRICS = {"brief": "It is short.", "kind": "It is friendly."}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    return save_tiny(directory, chatml_tokenizer(), max_position_embeddings=2048)


def ingest(model: Path, root: Path, **told: Any) -> IngestParams:
    prompts = root / "prompts.csv"
    prompts.write_text("prompt\n" + "\n".join(f"why {'do ' * i}you" for i in range(12)))
    size = {
        "model": str(model),
        "n_responses": 4,
        "max_new_tokens": 6,
        "judge": "chat",
        "chat": {"model": str(model), "rubrics": RUBRICS, "cache": str(root / "judged.sqlite")},
        "pairs": 3,
    }
    return IngestParams.model_validate(
        {"source": "sampled", "path": str(prompts), "sampled": size | told}
    )


def test_prompts_alone_become_labelled_comparisons_and_win_rates(
    model: Path, tmp_path: Path
) -> None:
    nearsighted = {
        "model": str(model),
        "rubrics": RUBRICS,
        "cache": str(tmp_path / "judged.sqlite"),
    }
    data = load_source(ingest(model, tmp_path, chat=nearsighted | {"max_characters": 10}), TASK)
    texts = data.responses[["prompt", "response"]].drop_duplicates()["response"]
    in_part = int((texts.str.len() > 10).sum())
    assert 0 < in_part < len(texts)
    assert data.report["read_in_part"] == {"labelled": {"texts": len(texts), "in_part": in_part}}
    assert len(data.responses) == 48
    assert not data.responses["ended"].all()
    labels = data.judgements[["brief", "kind"]].to_numpy()
    assert ((labels > 0) & (labels < 1)).all()
    assert data.judgements.groupby("prompt_id").size().max() == 3
    params = PreferencesParams.model_validate({"win_rates": {"model": {"folds": 2}}})
    comparisons = nodes.build_comparisons(data.responses, data.judgements, TASK, params)
    win_rates, *_ = nodes.estimate_win_rates(data.responses, comparisons, TASK, params)
    assert win_rates[["brief", "kind"]].notna().all(axis=None)
    assert len(win_rates) == 48


@pytest.mark.slow
def test_labels_follow_from_the_seed_whatever_the_batch_size(model: Path, tmp_path: Path) -> None:
    made = []
    for size in (2, 16):
        root = tmp_path / str(size)
        root.mkdir()
        made.append(load_source(ingest(model, root, batch_size=size), TASK))
    one, other = made
    pd.testing.assert_frame_equal(one.responses, other.responses)
    pd.testing.assert_frame_equal(one.judgements, other.judgements, atol=1e-5)


def test_a_judge_that_cannot_judge_is_told_before_anything_is_sampled(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("something was sampled")

    monkeypatch.setattr("mopo_pipeline.language.generation.sample_responses", sampled)
    with stub_endpoint(in_turn(Said({"error": "no such model"}, 404))) as server:
        told = {
            "endpoint": server.endpoint().model_dump(),
            "rubrics": RUBRICS,
            "cache": str(tmp_path / "c"),
        }
        with pytest.raises(InputError, match="answered 404: no such model"):
            load_source(ingest(model, tmp_path, chat=told), TASK)
    with stub_endpoint(in_turn(completion("A"))) as server:
        told |= {"endpoint": server.endpoint().model_dump()}
        with pytest.raises(InputError, match="tells no log-probabilities"):
            load_source(ingest(model, tmp_path, chat=told), TASK)


@pytest.mark.parametrize("judge", ["preference_model", "pocket", "chat"])
def test_who_cannot_label_candidates_is_refused_by_name(judge: str) -> None:
    with pytest.raises(ValueError, match=f"judge {judge}"):
        IngestParams.model_validate(
            {"source": "sampled", "sampled": {"model": "m", "judge": judge}}
        )


def test_a_rating_judge_rates_and_equal_answers_are_not_compared() -> None:
    class Scores:
        name, objectives, link = "s", ("brief",), "step"

        def scores(self, prompts: list[str], responses: list[str]) -> Any:
            return [[-float(len(r))] for r in responses]

    class Compares:
        name, objectives, link, opponents = "c", ("brief",), "step", 4

        def differences(self, prompts: list[str], first: list[str], second: list[str]) -> Any:
            return [[float(len(b) - len(a))] for a, b in zip(first, second, strict=True)]

    table = pd.DataFrame(
        {
            "prompt_id": "p",
            "response_id": ["r0", "r1", "r2"],
            "prompt": "[]",
            "response": ["a", "a", "bb"],
        }
    )
    rated, none = judged_candidates(Scores(), table, 9)  # type: ignore[arg-type]
    assert rated["score_brief"].tolist() == [-1.0, -1.0, -2.0]
    assert none.empty
    assert isinstance(Compares(), Comparer)
    same, labelled = judged_candidates(Compares(), table, 9)  # type: ignore[arg-type]
    assert list(same) == list(table)
    assert labelled.to_dict("records") == [
        {"prompt_id": "p", "response_a": "r0", "response_b": "r2", "brief": 1.0}
    ]
