"""Models, tokens and the row schedule: edges that would cost a night if found later."""

import json
from pathlib import Path

import numpy as np
import pytest

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model, materialise
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.schedule import RowSchedule, systematic_resample
from mopo_pipeline.language.scratch import build_model, build_tokenizer
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.tables import chat_prompt

PROMPTS = [chat_prompt("how do you do"), chat_prompt("why")]
RESPONSES = ["very well thanks a lot", "because"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(PROMPTS, RESPONSES)
    model = build_model(tokenizer, layers=1, width=16, heads=2, max_length=32, seed=0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_log_probability_is_the_sum_over_response_tokens(model_dir: Path) -> None:
    import torch

    model, tokenizer = load_model(model_dir)
    found = sequence_logprobs(model, tokenizer, PROMPTS, RESPONSES, max_length=32)
    for prompt, response, value in zip(PROMPTS, RESPONSES, found.logprob, strict=True):
        rows = encode(tokenizer, [prompt], [response], 32)
        ids, start = rows.ids[0], int(rows.prompt_lengths[0])
        with torch.inference_mode():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        by_hand = sum(float(logs[t - 1, ids[t]]) for t in range(start, len(ids)))
        assert value == pytest.approx(by_hand, abs=1e-4)


def test_long_responses_are_cut_and_counted_long_prompts_refused(model_dir: Path) -> None:
    _, tokenizer = load_model(model_dir)
    rows = encode(tokenizer, PROMPTS, RESPONSES, 8)
    assert rows.truncated.tolist() == [True, False]
    assert max(len(ids) for ids in rows.ids) <= 8
    with pytest.raises(InputError, match="row 0: the prompt 'how do you do'"):
        encode(tokenizer, PROMPTS, RESPONSES, 4)


def test_a_path_that_is_no_model(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(InputError, match="no model at"):
        materialise(tmp_path / "absent")
    with pytest.raises(InputError, match=r"holds no config.json"):
        materialise(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="safetensors"):
        load_model(tmp_path)
    with pytest.raises(InputError, match="not installed"):
        materialise("package:no_such_package_at_all")
    assert materialise(model_dir) == model_dir


def test_resampling_draws_in_proportion() -> None:
    rng = np.random.default_rng(0)
    weights = np.array([0.0, 1.0, 2.5, 0.5])
    counts = sum(np.bincount(systematic_resample(weights, 40, rng), minlength=4) for _ in range(50))
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.005)
    assert counts[0] == 0


def test_schedule_depends_on_seed_and_position_alone() -> None:
    lengths = np.arange(50) % 7 + 1
    one, two = (RowSchedule(lengths, 4, seed=3) for _ in range(2))
    positions = np.arange(64)
    whole = one.rows(positions)
    np.testing.assert_array_equal(whole[40:], two.rows(positions[40:]))
    assert (RowSchedule(lengths, 4, seed=4).rows(positions) != whole).any()
