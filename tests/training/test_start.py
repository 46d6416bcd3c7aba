"""A policy starts from an earlier one's weights, and from nothing else of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.launching.run import TrainingRun, prepare, train
from mopo_pipeline.mopo import effective_share
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.training.assemble import initial_state, prepare_trainer
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run, with_fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return tiny_run(tiny_model(tmp_path_factory.mktemp("model")), every=None)


@pytest.fixture(scope="module")
def start(run: TrainingRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run, tmp_path_factory.mktemp("earlier")).directory


def trained(run: TrainingRun, root: Path, resume: str | None = None) -> WeightedTrainer:
    directory = prepare(run, root)
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.slow
def test_the_first_step_leaves_from_the_earlier_policy(
    run: TrainingRun, start: Path, tmp_path: Path
) -> None:
    still = with_fit(replace(run, start=start), steps=1, learning_rate=1e-9)
    ended = weights(trained(still, tmp_path).model)
    assert distance(ended, weights(load_model(start, device="cpu")[0])) < 1e-6
    assert distance(ended, weights(load_model(run.model, device="cpu")[0])) > 1e-3


@pytest.mark.slow
def test_its_reference_stays_the_model_s_own(run: TrainingRun, start: Path, tmp_path: Path) -> None:
    trainer = trained(with_fit(replace(run, start=start), steps=1), tmp_path)
    assert trainer.first_logprob.tolist() == run.rows["reference_logprob"].tolist()


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_start_again(
    run: TrainingRun, start: Path, tmp_path: Path
) -> None:
    begun = replace(run, start=start)
    whole = weights(trained(begun, tmp_path / "a").model)
    directory = prepare(begun, tmp_path / "a")
    again = trained(begun, tmp_path / "a", resume=str(directory / "checkpoint-6"))
    assert distance(whole, weights(again.model)) == 0.0


def test_another_start_is_another_run(run: TrainingRun, start: Path, tmp_path: Path) -> None:
    directories = {
        prepare(one, tmp_path).name
        for one in (run, replace(run, start=start), replace(run, start=run.model))
    }
    assert len(directories) == 3


@pytest.mark.slow
def test_an_adapter_starts_from_an_adapter(run: TrainingRun, tmp_path: Path) -> None:
    adapted = replace(run, lora=LoraParams(r=2, alpha=4))
    earlier = train(adapted, tmp_path / "earlier").directory
    still = with_fit(replace(adapted, start=earlier), steps=1, learning_rate=1e-9)
    ended = {n: w for n, w in weights(trained(still, tmp_path / "b").model).items() if "lora" in n}
    first = weights(load_model(earlier, device="cpu")[0])
    assert distance(ended, first) < 1e-6
    assert max(float(w.abs().max()) for n, w in ended.items() if "lora_B" in n) > 1e-4


@pytest.mark.slow
def test_weights_of_another_kind_or_shape_are_refused_in_a_line(
    run: TrainingRun, start: Path, tmp_path: Path
) -> None:
    adapted = replace(run, lora=LoraParams(r=2, alpha=4), start=start)
    with pytest.raises(InputError, match="holds full weights, this run trains an adapter"):
        trained(adapted, tmp_path)
    wider = tiny_model(tmp_path / "wide", width=32)
    with pytest.raises(
        InputError, match=r"of shape .*give a policy trained from the same reference"
    ):
        trained(replace(run, start=wider), tmp_path)


def test_where_fresh_responses_follow_the_first_steps_learn_the_whole_plan(
    run: TrainingRun, start: Path
) -> None:
    """From the reference they are shortened as every step is; an earlier policy is on its way already."""
    lag = FreshLag(every=3, target_ess=0.9, judge="text")
    own = run.rows["weight"].to_numpy()
    shortened = initial_state(run.rows, run.problem, lag).weights
    assert effective_share(own) < 0.9 <= effective_share(shortened) + 1e-6
    assert (initial_state(run.rows, run.problem, lag, start).weights == own).all()
