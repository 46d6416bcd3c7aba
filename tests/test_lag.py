"""The reference that follows the policy, held against a recomputation from saved models."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import TrainerCallback

from mopo_pipeline.language import worker
from mopo_pipeline.language.lag import DualProblem, LagState, lagged_mass, refresh
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.run import TrainingRun, prepare, train
from mopo_pipeline.language.trainer import WeightedTrainer
from mopo_pipeline.mopo import solve_dual
from mopo_pipeline.parameters.train import FitParams, LagParams, LoraParams
from tiny_training import tiny_model, tiny_run

LIMITS = {"max_ratio": 20.0, "min_ess": 0.0, "max_multiplier": 1e6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return tiny_run(tiny_model(tmp_path_factory.mktemp("model")))


class Keeper(TrainerCallback):
    """Saves the model after some steps, before the refresh of that step."""

    def __init__(self, directory: Path, steps: set[int]) -> None:
        self.directory, self.steps = directory, steps

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step in self.steps:
            given["model"].save_pretrained(self.directory / str(state.global_step))
            given["processing_class"].save_pretrained(self.directory / str(state.global_step))


def trained(run: TrainingRun, root: Path, keep: set[int]) -> WeightedTrainer:
    directory = prepare(run, root)
    spec = json.loads((directory / "spec.json").read_text())
    trainer, _ = worker.prepare_trainer(directory, spec, FitParams(**spec["fit"]))
    trainer.add_callback(Keeper(root, keep))
    trainer.train()
    return trainer


def logprobs(run: TrainingRun, model: Path) -> np.ndarray:
    loaded, tokenizer = load_model(model, base=run.model)
    prompts, responses = run.rows["prompt"].tolist(), run.rows["response"].tolist()
    return sequence_logprobs(loaded, tokenizer, prompts, responses, max_length=32).logprob


def solved(problem: DualProblem, mass: np.ndarray, thresholds: np.ndarray) -> Any:
    return solve_dual(
        problem.win_rates, thresholds, tau=problem.tau, reference=mass, groups=problem.groups
    )


@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)], ids=["full", "lora"])
@pytest.mark.parametrize("beta", [None, 0.99], ids=["fixed", "adaptive"])
def test_the_reference_is_the_policy_of_one_lag_ago(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None, beta: float | None
) -> None:
    lag = LagParams(every=3, min_ess=0.0, max_ratio=3.0, beta=beta)
    state = trained(replace(run, lora=lora, lag=lag), tmp_path, {3, 6}).lag_state
    initial = run.rows["reference_logprob"].to_numpy()
    assert state.refreshes == 2
    np.testing.assert_allclose(state.lagged_logprob, logprobs(run, tmp_path / "3"), atol=1e-4)
    np.testing.assert_allclose(state.pending_logprob, logprobs(run, tmp_path / "6"), atol=1e-4)
    assert np.abs(state.lagged_logprob - initial).max() > 0.05

    assert run.problem is not None
    first, second = run.problem.thresholds, run.problem.thresholds
    if beta is not None:
        first = beta * run.problem.bounds
        second = beta * solved(run.problem, np.ones(40), first).bounds
    ratio = np.minimum(np.exp(logprobs(run, tmp_path / "3") - initial), 3.0)
    mass = ratio / ratio.mean()
    solution = solved(run.problem, mass, second)
    np.testing.assert_allclose(state.thresholds, second, atol=1e-6)
    np.testing.assert_allclose(state.multipliers, solution.multipliers, atol=1e-3)
    weights = mass * solution.ratio
    np.testing.assert_allclose(state.weights, weights / weights.mean(), rtol=2e-3)
    assert state.multipliers[0] > 0.01


def planned(run: TrainingRun) -> LagState:
    directory_free = run.rows["reference_logprob"].to_numpy()
    assert run.problem is not None
    return LagState(
        run.rows["weight"].to_numpy(), directory_free, directory_free, directory_free,
        run.problem.multipliers, run.problem.thresholds, run.problem.bounds,
    )  # fmt: skip


def test_a_policy_that_is_the_reference_has_ratio_exactly_one(run: TrainingRun) -> None:
    state = planned(run)
    assert run.problem is not None
    for _ in range(3):
        state = refresh(state, run.problem, state.initial_logprob, beta=None, **LIMITS)
        assert (lagged_mass(state, 20.0) == 1.0).all()
        assert state.ess == 1.0
        np.testing.assert_allclose(state.weights, planned(run).weights, rtol=1e-9)
    moved = refresh(
        state, run.problem, state.initial_logprob - np.arange(40) / 40, beta=None, **LIMITS
    )
    moved = refresh(moved, run.problem, state.initial_logprob, beta=None, **LIMITS)
    assert np.abs(moved.weights - planned(run).weights).max() > 0.05


def test_an_untrained_adapter_leaves_the_planned_weights(run: TrainingRun, tmp_path: Path) -> None:
    still = replace(
        run, lora=LoraParams(r=4, alpha=8), fit=run.fit.model_copy(update={"learning_rate": 1e-12})
    )
    state = trained(still, tmp_path, set()).lag_state
    assert state.refreshes == 2
    np.testing.assert_allclose(state.weights, planned(run).weights, rtol=1e-3)


class LengthScorer:
    """Rewards: long answers help, short ones are harmless."""

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        words = np.array([len(text.split()) for text in responses], dtype=float)
        return np.column_stack([words, -words]) / 4


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from mopo_pipeline.preferences.model import PreferenceModel

    monkeypatch.setattr(PreferenceModel, "load", staticmethod(lambda _: LengthScorer()))
    return tmp_path


def test_fresh_responses_are_decided_by_the_seed(
    run: TrainingRun, tmp_path: Path, scorer: Path
) -> None:
    lag = LagParams(
        every=3, on_policy=True, min_ess=0.0, fresh_prompts=4, fresh_responses=4, max_new_tokens=6
    )
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([0.3]))
    fresh = replace(run, lag=lag, scorer=scorer, problem=problem)
    results = [
        train(replace(fresh, seed=seed), tmp_path / str(name)).directory.parent
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    ]
    one, two, other = ((r / "final/model.safetensors").read_bytes() for r in results)
    texts = [(r / "checkpoint-8/fresh_rows.json").read_text() for r in results]
    assert (one, texts[0]) == (two, texts[1])
    assert one != other
    assert texts[0] != texts[2]


@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)], ids=["full", "lora"])
def test_fresh_text_unlike_the_data_counts_as_losing(
    run: TrainingRun, tmp_path: Path, scorer: Path, lora: LoraParams | None
) -> None:
    """Half of the data is less likely than its median, so half or more of what is drawn is refused."""
    lag = LagParams(
        every=6, on_policy=True, min_ess=0.0, fresh_prompts=8, fresh_responses=6, max_new_tokens=6,
        support_quantile=0.5,
    )  # fmt: skip
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([0.05]))
    fresh = replace(run, lag=lag, lora=lora, scorer=scorer, problem=problem)
    trainer = trained(fresh, tmp_path / "half", set())
    first, _ = load_model(run.model)
    cut = np.quantile(run.rows["reference_logprob"], 0.5)
    known = trainer.score(first, trainer.rows, "check") >= cut
    state = trainer.lag_state
    assert 0 < known.mean() < 1
    assert state.support == pytest.approx(known.mean())
    for prompt in np.unique(trainer.rows.prompts):
        own = trainer.rows.prompts == prompt
        refused = state.weights[own & ~known]
        assert refused.size == 0 or np.ptp(refused) < 1e-9
        assert (state.weights[own & known] > refused.max(initial=0.0)).all()
    free = replace(fresh, lag=lag.model_copy(update={"support_quantile": None}))
    assert trained(free, tmp_path / "all", set()).lag_state.support == 1.0
