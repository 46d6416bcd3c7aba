"""How long a run will take is told before its first step, and the run is the same for it."""

import logging
from pathlib import Path

import pytest
import torch

from mopo_pipeline.launching import estimate
from mopo_pipeline.launching.estimate import seconds_of, tell_time, typical_batch
from mopo_pipeline.launching.run import prepare
from mopo_pipeline.training.assemble import prepare_trainer
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
    assert seconds_of(trainer, typical_batch(trainer)) > 0.0
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
            "take about 13.9 h on cpu (drawing, judging and looking not counted); "
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
    monkeypatch.setattr(estimate, "seconds_of", lambda *_: each)
    fit = tiny_run(Path(trainer.args.output_dir).parent / "model", every=None).fit
    with caplog.at_level(logging.INFO, logger=estimate.__name__):
        tell_time(trainer, "policy", "train.fit", fit, done=3)
    [record] = caplog.records
    assert (record.levelno, said in record.message) == (level, True), record.message


def test_a_run_that_is_over_is_not_timed(
    trainer: WeightedTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    fit = tiny_run(Path(trainer.args.output_dir).parent / "model", every=None).fit
    with caplog.at_level(logging.INFO, logger=estimate.__name__):
        tell_time(trainer, "policy", "train.fit", fit, done=8)
    assert not caplog.records
