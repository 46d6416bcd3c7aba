"""Where answers are asked for, any engine may draw them; log-probabilities stay those of the model itself."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from language.engines.stub_completions import Stub, serving
from mopo_pipeline.errors import InputError
from mopo_pipeline.evaluation.sampling import sample_completions
from mopo_pipeline.hooks import EngineHook
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.parameters.evaluate import EvaluateParams
from mopo_pipeline.parameters.ingest import IngestParams
from mopo_pipeline.pipeline_registry import register_pipelines
from mopo_pipeline.sources.sampled import read_sampled
from mopo_pipeline.tables import chat_prompt
from parameters.test_fault_messages import said
from tiny_tokenizers import chatml_tokenizer, save_tiny

TASK = TaskParams.model_validate({"objectives": [{"name": "brevity"}]})


def at(stub: Stub, folder: Path, **given: Any) -> dict[str, Any]:
    engine = {"kind": "endpoint", "base_url": stub.url, "served": "tuned", "retries": 0}
    return engine | {"work_dir": folder / "kept"} | given


def test_an_endpoint_draws_and_the_models_themselves_score(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", chatml_tokenizer())
    responses = pd.DataFrame(
        {
            "prompt_id": ["p0", "p1"],
            "response_id": ["r0", "r1"],
            "prompt": [chat_prompt("how"), chat_prompt("why")],
            "response": ["very well", "because"],
            "split": "test",
        }
    )
    with serving(Stub()) as stub:
        engine = at(stub, tmp_path, served_reference="base")
        sampling = {"samples": 2, "engine": engine}
        params = EvaluateParams.model_validate({"sampling": sampling})
        table = sample_completions(model, model, responses, TASK, params)
    names = {"reference": "base", "policy": "tuned"}
    assert all(
        text.startswith(names[policy])
        for policy, text in zip(table["policy"], table["completion"], strict=True)
    )
    scored = sequence_logprobs(
        *load_model(model), table["prompt"].tolist(), table["completion"].tolist()
    )
    np.testing.assert_allclose(table["logprob_policy"], scored.logprob, atol=1e-4)
    assert table["ended"].all()


def test_candidates_may_come_from_an_endpoint_though_no_model_is_here(tmp_path: Path) -> None:
    with serving(Stub()) as stub:
        sampled = {"model": "none/here", "n_responses": 2, "engine": at(stub, tmp_path)}
        params = {"source": "sampled", "limit": 3, "sampled": sampled}
        tables = read_sampled(IngestParams.model_validate(params), TASK)
    assert len(tables.responses) == 6
    assert tables.responses["response"].str.startswith("tuned").all()


def test_candidates_that_a_filter_held_back_are_dropped_with_their_reason_and_not_called_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = Stub(says=lambda _, k: ("I", "content_filter") if k else ("A robin.", "stop"))
    with serving(held) as stub:
        sampled = {"model": "none/here", "n_responses": 2, "engine": at(stub, tmp_path)}
        params = IngestParams.model_validate({"source": "sampled", "limit": 3, "sampled": sampled})
        tables = read_sampled(params, TASK)
        assert len(tables.responses) == 3
        assert tables.read["responses"] == 6
        assert tables.dropped == {"responses": {"held back by a filter of the endpoint": 3}}
        assert "cut" not in caplog.text
        held.says = lambda _, k: ("I", "content_filter")
        sampled["engine"]["work_dir"] = tmp_path / "other"
        with pytest.raises(InputError, match="held back all 6 answers of tuned"):
            read_sampled(params.model_validate(params.model_dump() | {"sampled": sampled}), TASK)


WHOLE = register_pipelines()["__default__"]


def stopped(parameters: dict[str, Any], *nodes: str, **run: Any) -> str:
    hook = EngineHook()
    hook.after_context_created(SimpleNamespace(config_loader={"parameters": parameters}))
    pipeline = WHOLE.only_nodes(*nodes)
    try:
        hook.before_pipeline_run(run_params=run, pipeline=pipeline)
    except InputError as error:
        return str(error)
    return ""


def test_an_endpoint_that_is_to_serve_a_policy_still_to_be_trained_is_refused_before_training(
    tmp_path: Path,
) -> None:
    with serving(Stub()) as stub:
        engine = at(stub, tmp_path, served_reference="base")
        given = {"evaluate": {"sampling": {"engine": engine}}}
        both = ("train.train_policy", "evaluate.sample_completions")
        assert "cannot serve a policy that this run is still to train" in stopped(given, *both)
        assert stopped(given, "evaluate.sample_completions") == ""
        assert stopped(given, *both, only_missing_outputs=True) == ""
    assert "cannot be reached" in stopped(given, "evaluate.sample_completions")
    assert stopped(given, "train.train_policy") == "", "nothing is drawn"


def test_candidates_of_an_endpoint_that_is_down_stop_a_run_at_its_start(tmp_path: Path) -> None:
    with serving(Stub()) as stub:
        given = {"ingest": {"sampled": {"model": "x", "engine": at(stub, tmp_path)}}}
    assert stopped(given, "ingest.ingest_source", "train.train_policy").startswith(
        "ingest.sampled.engine: http://"
    )
    assert stopped({"ingest": {"sampled": None}}, "ingest.ingest_source") == ""


@pytest.mark.parametrize("kind", ["vllm", "ray"])
def test_an_adapter_of_a_rank_that_vllm_does_not_take_stops_a_run_at_its_start(kind: str) -> None:
    given = {
        "train": {"lora": {"r": 513}},
        "evaluate": {"sampling": {"engine": {"kind": kind}}},
    }
    told = stopped(given, "train.train_policy", "evaluate.sample_completions")
    assert told.startswith("train.lora.r is 513, and vLLM takes adapters of rank 512 at most: ")
    given["train"]["lora"]["r"] = 512
    assert "rank" not in stopped(given, "train.train_policy", "evaluate.sample_completions")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"kind": "vlm"}, "evaluate.sampling.engine.kind is 'vlm': input should be 'transformers'"),
        (
            {"gpus": 2},
            "gpus has no effect with kind transformers: set kind to vllm or ray or remove it",
        ),
        ({"kind": "endpoint", "served": "x"}, "an engine of kind endpoint needs base_url"),
        ({"base_url": "http://x/v1"}, "base_url has no effect with kind transformers"),
    ],
)
def test_an_engine_that_is_half_described_is_refused(engine: dict[str, Any], message: str) -> None:
    assert message in said({"evaluate": {"sampling": {"engine": engine}}})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    engine = {"kind": "endpoint", "base_url": "http://me:sesame@x/v1", "served": "x"}
    told = said({"evaluate": {"sampling": {"engine": engine}}})
    assert "base_url holds a password" in told and "sesame" not in told


def test_an_endpoint_that_evaluates_names_the_reference_too() -> None:
    engine = {"kind": "endpoint", "base_url": "http://x/v1", "served": "x"}
    assert "needs served_reference too" in said({"evaluate": {"sampling": {"engine": engine}}})


def test_refreshes_within_training_take_no_engine() -> None:
    lag = {"mode": "fresh", "engine": {"kind": "endpoint"}}
    assert "unknown parameter 'train.lag.engine'" in said({"train": {"lag": lag}})
