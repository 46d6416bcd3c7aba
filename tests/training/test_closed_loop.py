"""Validation labels are looked at while a policy trains, and what they miss is trained for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.launching.run import TrainingRun, prepare
from mopo_pipeline.mopo.labelled import cautious_values
from mopo_pipeline.parameters.train import LoopParams
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import labelled_run, tiny_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return labelled_run(tiny_model(tmp_path_factory.mktemp("model")))


def trained(run: TrainingRun, root: Path, resume: str | None = None) -> WeightedTrainer:
    directory = prepare(run, root)
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def rounds(run: TrainingRun, count: int) -> TrainingRun:
    return replace(run, loop=LoopParams(rounds=count, candidates=(1.0,)))


@pytest.mark.slow
def test_what_is_seen_is_what_the_labels_say_of_the_saved_model(
    run: TrainingRun, tmp_path: Path
) -> None:
    trainer = trained(rounds(run, 0), tmp_path)
    trainer.save_model(str(tmp_path / "end"))
    model, tokenizer = load_model(tmp_path / "end")
    table = run.validation
    now = sequence_logprobs(
        model, tokenizer, table["prompt"].tolist(), table["response"].tolist(), max_length=32
    ).logprob
    assert run.labels is not None
    gap = now - table["reference_logprob"].to_numpy()
    expected = cautious_values(run.labels, gap, np.repeat(np.arange(10), 6))
    last = trainer.state.log_history[-2]
    assert last["validation_help"] == pytest.approx(expected.values[0], abs=1e-5)
    assert last["validation_harm_se"] == pytest.approx(expected.errors[1], abs=1e-5)
    assert np.abs(gap).max() > 0.05


@pytest.mark.slow
def test_a_missed_threshold_is_aimed_at_from_higher_in_the_second_half(
    run: TrainingRun, tmp_path: Path
) -> None:
    open_end, closed = (trained(rounds(run, n), tmp_path / str(n)) for n in (0, 2))
    assert run.problem is not None
    assert (open_end.lag_state.weights == run.rows["weight"].to_numpy()).all()
    assert closed.lag_state.raised[0] > 0.0
    assert closed.lag_state.multipliers[0] > run.problem.multipliers[0]
    looks = [e["step"] for e in closed.state.log_history if "validation_harm" in e]
    assert looks == [4, 6, 8]


@pytest.mark.slow
def test_a_corrected_run_goes_on_bit_for_bit_from_its_checkpoint(
    run: TrainingRun, tmp_path: Path
) -> None:
    """From step 6, whose correction the checkpoint holds; from step 4 with another raise it differs."""
    whole = trained(rounds(run, 2), tmp_path / "a")
    again = trained(rounds(run, 2), tmp_path / "a", f"{whole.args.output_dir}/checkpoint-6")
    other = trained(rounds(run, 0), tmp_path / "b")
    for name, tensor in whole.model.state_dict().items():
        assert (tensor == again.model.state_dict()[name]).all()
    assert any(
        (tensor != other.model.state_dict()[name]).any()
        for name, tensor in whole.model.state_dict().items()
    )
    np.testing.assert_array_equal(whole.lag_state.raised, again.lag_state.raised)
