"""How long a run will take is told before its first step, and the run is the same for it."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopo_pipeline.launching import estimate
from mopo_pipeline.launching.estimate import (
    batch_at,
    cost_of,
    largest_batch,
    tell_cost,
    typical_batch,
)
from mopo_pipeline.launching.run import prepare
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.batches import collate
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run


@pytest.fixture
def trainer(tmp_path: Path) -> WeightedTrainer:
    directory = prepare(tiny_run(tiny_model(tmp_path / "model"), every=None), tmp_path)
    return prepare_trainer(directory, RunSpec.read(directory))[0]


def test_timing_a_batch_moves_no_parameter_no_gradient_and_no_random_stream(
    trainer: WeightedTrainer,
) -> None:
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    stream, watched = torch.random.get_rng_state(), trainer.watched.entries
    assert cost_of(trainer, typical_batch(trainer))[0] > 0.0
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert trainer.watched.entries == watched
    assert all(p.grad is None for p in trainer.model.parameters())
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("each", "level", "said"),
    [
        (
            2.0,
            logging.INFO,
            "policy: 5 steps of 8 rows, 1.0 times over 40 rows, take about 10 s on cpu",
        ),
        (
            10000.0,
            logging.WARNING,
            "take about 13.9 h on cpu (drawing, judging and looking not counted) and 1 MB beside the model; "
            "train.fit.steps or train.fit.epochs makes it shorter",
        ),
    ],
)
def test_what_is_left_of_a_run_is_told_in_time_and_loudly_where_it_is_long(
    trainer: WeightedTrainer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    each: float,
    level: int,
    said: str,
) -> None:
    monkeypatch.setattr(estimate, "cost_of", lambda *_: (each, 10**6))
    fit = tiny_run(Path(trainer.args.output_dir).parent / "model", every=None).fit
    with caplog.at_level(logging.INFO, logger=estimate.__name__):
        tell_cost(trainer, "policy", "train.fit", fit, done=3)
    [record] = caplog.records
    assert (record.levelno, said in record.message) == (level, True), record.message


def test_what_is_kept_for_the_way_back_is_counted_and_grows_with_the_batch(
    trainer: WeightedTrainer,
) -> None:
    few = batch_at(trainer, 0)
    drawn = trainer.sampler.draw(np.arange(16))[0]
    twice = collate(trainer.rows, drawn, np.ones(16), None, "cpu")
    sizes = [cost_of(trainer, batch)[1] for batch in (few, twice)]
    hidden = trainer.model.config.hidden_size * few.packed.input_ids.numel() * 4
    assert sizes[0] > 2 * 2 * hidden, "two layers keep several states of each token"
    assert sizes[1] > 1.5 * sizes[0]


def test_the_largest_batch_of_a_run_is_the_one_whose_rows_are_longest(
    trainer: WeightedTrainer,
) -> None:
    sums = [int(trainer.rows.lengths[batch_at(trainer, n).rows].sum()) for n in range(8)]
    found = largest_batch(trainer, 8)
    assert int(trainer.rows.lengths[found.rows].sum()) == max(sums) > min(sums)


def test_less_memory_than_the_largest_batch_takes_is_told_with_what_asks_for_less(
    trainer: WeightedTrainer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(estimate, "cost_of", lambda *_: (2.0, 8 * 10**9))
    fit = tiny_run(Path(trainer.args.output_dir).parent / "model", every=None).fit
    for free, told in ((10**12, 0), (10**9, 1)):
        caplog.clear()
        monkeypatch.setattr(estimate, "free_memory", lambda _, free=free: free)
        with caplog.at_level(logging.WARNING, logger=estimate.__name__):
            tell_cost(trainer, "policy", "train.fit", fit, done=0)
        assert len(caplog.records) == told
    assert (
        "policy: 1.0 GB are free on cpu, less than its largest batch takes: set train.fit.gradient_checkpointing"
        in caplog.text
    )


def test_a_run_that_is_over_is_not_timed(
    trainer: WeightedTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    fit = tiny_run(Path(trainer.args.output_dir).parent / "model", every=None).fit
    with caplog.at_level(logging.INFO, logger=estimate.__name__):
        tell_cost(trainer, "policy", "train.fit", fit, done=8)
    assert not caplog.records


@pytest.mark.parametrize("lora", [None, LoraParams(r=2)])
def test_activations_that_training_computes_again_are_not_kept_for_the_estimate(
    tmp_path: Path, lora: LoraParams | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {}
    for again in (False, True):
        run = tiny_run(tiny_model(tmp_path / "model"), every=None, gradient_checkpointing=again)
        directory = prepare(replace(run, lora=lora), tmp_path / str(again))
        spec = RunSpec.read(directory)
        trainer, _ = prepare_trainer(directory, spec)
        seen: list[int] = []
        counted = estimate.cost_of

        def noted(*given: Any, seen: list[int] = seen, counted: Any = counted) -> Any:
            found = counted(*given)
            seen.append(found[1])
            return found

        with monkeypatch.context() as patch:
            patch.setattr(estimate, "cost_of", noted)
            tell_cost(trainer, "policy", "train.fit", spec.fit, done=0)
        kept[again] = seen[0]
    assert kept[True] < 0.5 * kept[False], kept


@pytest.mark.parametrize(("dtype", "halved"), [("float32", False), ("bfloat16", True)])
def test_a_batch_is_tried_in_the_precision_of_the_run(
    tmp_path: Path, dtype: str, halved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tiny_model(tmp_path / "model"), every=None, dtype=dtype)
    directory = prepare(run, tmp_path)
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
    seen: list[bool] = []
    forward = estimate.response_logprobs

    def noted(*given: Any) -> torch.Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(*given)

    monkeypatch.setattr(estimate, "response_logprobs", noted)
    cost_of(trainer, typical_batch(trainer))
    assert seen == [halved]
