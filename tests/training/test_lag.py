"""The reference that follows the policy, held against a recomputation from saved models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import TrainerCallback

from conftest import without_nearest
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.logprobs import sequence_logprobs
from mopo_pipeline.language.tokens import encode
from mopo_pipeline.launching.run import TrainingRun, prepare, train
from mopo_pipeline.mopo import (
    Comparisons,
    JudgeError,
    attainable_bounds,
    effective_share,
    learned_values,
    prompt_margins,
    solve_dual,
)
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.fresh import solve_fresh, threshold_margins
from mopo_pipeline.mopo.schedule.lag import lagged_mass, period_rows, refresh
from mopo_pipeline.mopo.schedule.margins import certificate_margins, prompt_deviation
from mopo_pipeline.mopo.schedule.state import LagState
from mopo_pipeline.parameters.fit import LoraParams
from mopo_pipeline.parameters.lag import FreshLag, NoLag, OfflineLag
from mopo_pipeline.pareto import true_front_at
from mopo_pipeline.training import fresh_judge
from mopo_pipeline.training.assemble import prepare_trainer
from mopo_pipeline.training.fresh_rows import FreshRows, fresh_win_rates
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.trainer import WeightedTrainer
from tiny_training import tiny_model, tiny_run

EVERY_ROW = np.ones(40, dtype=bool)
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
    trainer, _ = prepare_trainer(directory, RunSpec.read(directory))
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


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)], ids=["full", "lora"])
@pytest.mark.parametrize("beta", [None, 0.99], ids=["fixed", "adaptive"])
def test_the_reference_is_the_policy_of_one_lag_ago(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None, beta: float | None
) -> None:
    lag = OfflineLag(every=3, min_ess=0.0, max_ratio=3.0, beta=beta, rows=40)
    state = trained(replace(run, lora=lora, lag=lag), tmp_path, {3}).lag_state
    initial = run.rows["reference_logprob"].to_numpy()
    assert state.refreshes == 2
    np.testing.assert_allclose(state.lagged_logprob, logprobs(run, tmp_path / "3"), atol=1e-4)
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


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)], ids=["full", "lora"])
def test_a_period_trains_on_its_rows_with_the_reference_of_one_lag_ago(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None
) -> None:
    """Rows of the second period carry the policy of step 3 and the duals of those rows alone."""
    lag = OfflineLag(every=3, min_ess=0.0, rows=15)
    trainer = trained(replace(run, lora=lora, lag=lag), tmp_path, {3})
    assert run.problem is not None
    state, groups = trainer.lag_state, run.problem.groups
    active = period_rows(groups, 15, run.seed, 2)
    assert active.sum() == 15
    np.testing.assert_array_equal(state.active, active)
    gap = logprobs(run, tmp_path / "3") - state.initial_logprob
    ratio = np.minimum(np.exp(gap[active]), lag.max_ratio)
    mass = ratio / ratio.mean()
    exact = solve_dual(
        run.problem.win_rates[active],
        run.problem.thresholds,
        tau=run.problem.tau,
        reference=mass,
        groups=groups[active],
    )
    weights = mass * exact.ratio
    np.testing.assert_allclose(state.weights[active], weights / weights.mean(), rtol=2e-3)
    assert (state.weights[~active] == 0).all()
    drawn = trainer.sampler.schedule.rows(np.arange(6 * 8, 8 * 8))
    assert active[drawn].all()


def test_periods_go_round_all_prompts_and_take_them_whole() -> None:
    groups = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 9, 50))
    visits = np.zeros(groups.size)
    for period in range(groups.size):
        rows = period_rows(groups, 40, 3, period)
        assert 33 <= rows.sum() <= 48
        assert all(rows[groups == g].all() or not rows[groups == g].any() for g in range(50))
        visits += rows
    assert visits.min() == visits.max() == 40
    assert (period_rows(groups, 40, 3, 1) != period_rows(groups, 40, 4, 1)).any()
    assert period_rows(groups, 1, 3, 5).any()
    assert period_rows(groups, groups.size, 3, 5).all()


def test_a_problem_restricted_to_prompts_is_the_problem_of_those_prompts() -> None:
    win_rates, groups = fresh_sample()
    rng = np.random.default_rng(2)
    first = rng.integers(320, size=400)
    second = first // 8 * 8 + rng.integers(8, size=400)
    compared = Comparisons(first, second, rng.integers(2, size=(400, 3)).astype(float))
    whole = replace(
        fresh_problem([0.55, 0.5]),
        win_rates=win_rates,
        groups=groups,
        comparisons=compared,
        epsilon=0.01,
    )
    rows = groups >= 30
    part = whole.restricted(rows)
    kept = first >= 240
    own = Comparisons(first[kept] - 240, second[kept] - 240, np.asarray(compared.labels)[kept])
    arguments = {"tau": 0.3, "epsilon": part.epsilon}
    one = solve_dual(
        part.win_rates, [0.4, 0.4], groups=part.groups, comparisons=part.comparisons, **arguments
    )
    two = solve_dual(win_rates[240:], [0.4, 0.4], groups=groups[240:], comparisons=own, **arguments)
    np.testing.assert_array_equal(one.ratio, two.ratio)
    assert whole.restricted(np.ones(320, dtype=bool)) is whole
    alone = replace(whole, comparisons=Comparisons([0], [1], [[1.0, 0.0, 1.0]])).restricted(rows)
    assert (alone.comparisons, alone.epsilon) == (None, 0.0)


def planned(run: TrainingRun) -> LagState:
    directory_free = run.rows["reference_logprob"].to_numpy()
    assert run.problem is not None
    return LagState(
        run.rows["weight"].to_numpy(),
        directory_free,
        directory_free,
        directory_free,
        run.problem.multipliers,
        run.problem.thresholds,
        run.problem.bounds,
        run.problem.values,
        EVERY_ROW,
    )


def test_a_policy_that_is_the_reference_has_ratio_exactly_one(run: TrainingRun) -> None:
    state = planned(run)
    assert run.problem is not None
    for _ in range(3):
        state = refresh(state, run.problem, state.initial_logprob, EVERY_ROW, beta=None, **LIMITS)
        assert (lagged_mass(state, 20.0) == 1.0).all()
        assert state.ess == 1.0
        np.testing.assert_allclose(state.weights, planned(run).weights, rtol=1e-9)
    moved = refresh(
        state,
        run.problem,
        state.initial_logprob - np.arange(40) / 40,
        EVERY_ROW,
        beta=None,
        **LIMITS,
    )
    moved = refresh(moved, run.problem, state.initial_logprob, EVERY_ROW, beta=None, **LIMITS)
    assert np.abs(moved.weights - planned(run).weights).max() > 0.05


@pytest.mark.slow
def test_an_untrained_adapter_leaves_the_planned_weights(run: TrainingRun, tmp_path: Path) -> None:
    still = replace(
        run,
        lora=LoraParams(r=4, alpha=8),
        lag=OfflineLag(every=3, rows=40),
        fit=run.fit.model_copy(update={"learning_rate": 1e-12}),
    )
    state = trained(still, tmp_path, set()).lag_state
    assert state.refreshes == 2
    np.testing.assert_allclose(state.weights, planned(run).weights, rtol=1e-3)


def test_what_a_refresh_believes_of_compared_rows_is_what_its_weights_teach() -> None:
    """One prompt whose alternatives are all there, exact labels of pairs that the behaviour policy drew.

    The reference moves to the target of the refresh before; the constraint stays where it is
    believed to be, and the primary rises towards the vertex of the linear programme.
    """
    rng = np.random.default_rng(0)
    utility = rng.normal(size=(2, 5))
    chance = 1 / (1 + np.exp(utility[:, None, :] - utility[:, :, None]))
    win_rates = chance.mean(axis=2).T
    first, second = (axis.ravel() for axis in np.indices((5, 5)))
    problem = replace(
        fresh_problem([0.45]),
        objectives=("help", "harm"),
        win_rates=win_rates,
        groups=np.zeros(5, dtype=np.int64),
        tau=0.3,
        comparisons=Comparisons(first, second, chance[:, first, second].T),
    )
    zero, one = np.zeros(5), np.zeros(1)
    state = LagState(np.ones(5), zero, zero, zero, one, problem.thresholds, one, one, EVERY_ROW[:5])
    primaries = []
    for _ in range(12):
        state = refresh(state, problem, zero, EVERY_ROW[:5], beta=None, **LIMITS)
        policy = state.weights / state.weights.sum()
        assert state.bounds[0] == pytest.approx(policy @ win_rates[:, 1], abs=1e-7)
        assert state.bounds[0] >= 0.45 - 1e-7
        primaries.append(policy @ win_rates[:, 0])
        state = replace(state, pending_logprob=np.log(policy * 5))
    assert (np.diff(primaries) > -1e-6).all()
    best, _ = true_front_at(win_rates, [0.45], reference=np.full(5, 0.2))
    assert primaries[-1] == pytest.approx(best[0], abs=0.02)
    assert primaries[0] < best[0] - 0.05


class LengthJudge:
    """Long answers help, short ones are harmless."""

    name, objectives, link = "length", ("help", "harm"), "logistic"

    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        words = np.array([len(text.split()) for text in responses], dtype=float)
        return np.column_stack([words, -words]) / 4


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: LengthJudge())


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
def test_fresh_responses_are_decided_by_the_seed(run: TrainingRun, tmp_path: Path) -> None:
    lag = FreshLag(every=3, fresh_prompts=4, fresh_responses=4, max_new_tokens=6)
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([0.3]))
    fresh = replace(run, lag=lag, problem=problem)
    results = [
        train(replace(fresh, seed=seed), tmp_path / str(name)).directory.parent
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    ]
    one, two, other = ((r / "final/model.safetensors").read_bytes() for r in results)
    texts = [(r / "checkpoint-8/fresh_rows.json").read_text() for r in results]
    assert (one, texts[0]) == (two, texts[1])
    assert one != other
    assert texts[0] != texts[2]


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8)], ids=["full", "lora"])
def test_fresh_text_unlike_the_data_counts_as_losing(
    run: TrainingRun, tmp_path: Path, lora: LoraParams | None
) -> None:
    """Half of the data is less likely than its median, so half or more of what is drawn is refused."""
    lag = FreshLag(
        every=6,
        fresh_prompts=8,
        fresh_responses=6,
        max_new_tokens=6,
        support_quantile=0.5,
        min_support=0.0,
    )
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([0.05]))
    fresh = replace(run, lag=lag, lora=lora, problem=problem)
    trainer = trained(fresh, tmp_path / "half", set())
    first, first_tokenizer = load_model(run.model)
    data = encode(first_tokenizer, *(run.rows[c].tolist() for c in ("prompt", "response")), 32)
    own, logprob = run.rows["reference_logprob"], trainer.score(first, trainer.rows, "check")
    each = logprob / trainer.rows.response_lengths
    known = (logprob >= np.quantile(own, 0.5)) & (
        each >= np.quantile(own / data.response_lengths, 0.5)
    )
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


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
def test_garbage_stops_at_the_first_refresh_although_the_data_hold_long_texts(
    run: TrainingRun, tmp_path: Path
) -> None:
    """A reference that knows its data well; one long text among them; a policy pushed away from all of it.

    By their sums the policy's answers are likelier than the long text, whatever they say.
    """
    known = replace(
        run,
        lag=NoLag(),
        fit=run.fit.model_copy(update={"steps": 120, "schedule": "constant_with_warmup"}),
        rows=run.rows.assign(weight=1.0),
        problem=None,
    )
    reference = train(known, tmp_path / "reference").directory
    rows = run.rows.copy()
    rows.loc[0, "response"] = " ".join([*rows["response"][:5], *rows["response"][:5]])
    loaded, tokenizer = load_model(reference)
    given = rows["prompt"].tolist(), rows["response"].tolist()
    scored = sequence_logprobs(loaded, tokenizer, *given, max_length=64)
    lag = FreshLag(every=6, fresh_prompts=8, fresh_responses=8, max_new_tokens=6)
    assert run.problem is not None
    wild = replace(
        run,
        model=reference,
        rows=rows.assign(reference_logprob=scored.logprob),
        lag=lag,
        context=64,
        problem=replace(run.problem, thresholds=np.array([0.01])),
        fit=run.fit.model_copy(update={"learning_rate": 0.5}),
    )
    with pytest.raises(
        TrainingStoppedError,
        match=r"at step 6: \d+% of the fresh responses are like the data, .* asks for 50%; to '.+' the policy says",
    ):
        trained(wild, tmp_path / "wild", set())
    calm = replace(wild, fit=run.fit.model_copy(update={"learning_rate": 1e-4}))
    trainer = trained(calm, tmp_path / "calm", set())
    assert trainer.lag_state.support > 0.8
    free = replace(wild, lag=lag.model_copy(update={"min_support": 0.0}))
    garbage = trained(free, tmp_path / "free", set())
    assert garbage.lag_state.support < 0.5
    sums = garbage.score(loaded, garbage.rows, "check")
    assert (sums > scored.logprob.min()).mean() > 0.9


def fresh_problem(thresholds: list[float], confidence: float = 0.5) -> DualProblem:
    """Thresholds over three objectives, no label noise."""
    zeros = np.zeros(2)
    return DualProblem(
        ("help", "harm", "short"),
        np.zeros((0, 3)),
        np.zeros(0, dtype=np.int64),
        np.array(thresholds),
        0.1,
        0.0,
        0.0,
        "lagrangian",
        None,
        zeros,
        zeros,
        zeros,
        confidence,
    )


NO_MARGIN = np.zeros(2)


def fresh_sample(prompts: int = 40, each: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    win_rates = rng.uniform(0.1, 0.9, (prompts * each, 3))
    win_rates[:, 1] += 0.1 * np.repeat(rng.normal(size=prompts), each)
    return np.clip(win_rates, 0, 1), np.repeat(np.arange(prompts), each)


def resolved(
    problem: DualProblem,
    win_rates: np.ndarray,
    groups: np.ndarray,
    lag: FreshLag,
    margins: np.ndarray = NO_MARGIN,
) -> LagState:
    empty = np.zeros(0)
    start = LagState(
        empty,
        empty,
        empty,
        empty,
        problem.multipliers,
        problem.thresholds,
        problem.bounds,
        problem.values,
        EVERY_ROW,
    )
    return solve_fresh(
        start,
        problem,
        win_rates,
        groups,
        margins,
        beta=lag.beta,
        target_ess=lag.target_ess,
        max_multiplier=lag.max_multiplier,
    )


def test_without_confidence_or_limit_fresh_weights_are_the_dual_s_ratio() -> None:
    win_rates, groups = fresh_sample()
    lag = FreshLag(every=1, target_ess=0.0)
    state = resolved(fresh_problem([0.6, 0.55]), win_rates, groups, lag)
    exact = solve_dual(win_rates, np.array([0.6, 0.55]), tau=0.1, groups=groups, pooling=None)
    np.testing.assert_allclose(state.weights, exact.ratio / exact.ratio.mean(), rtol=1e-9)
    np.testing.assert_allclose(state.bounds, exact.values[1:], rtol=1e-9)


def reached(state: LagState, win_rates: np.ndarray, groups: np.ndarray) -> np.ndarray:
    exponent = win_rates @ np.append(1.0, state.multipliers) / 0.1
    return learned_values(exponent, win_rates[:, 1:], groups)


def test_fresh_thresholds_are_raised_by_the_margins() -> None:
    win_rates, groups = fresh_sample()
    lag = FreshLag(every=1, target_ess=0.0)
    state = resolved(fresh_problem([0.6, 0.62]), win_rates, groups, lag, np.array([0.04, -0.02]))
    np.testing.assert_allclose(reached(state, win_rates, groups), [0.64, 0.60], atol=1e-6)
    np.testing.assert_allclose(state.bounds, [0.6, 0.62], atol=1e-6)
    np.testing.assert_allclose(state.targets, reached(state, win_rates, groups))


def test_margins_add_bias_shortfall_and_noise() -> None:
    """Equal prompts leave no noise of their own; a policy above its target adds nothing."""
    win_rates, groups = np.tile([0.5, 0.6], (12, 1)), np.repeat(np.arange(4), 3)
    asked = replace(fresh_problem([0.5, 0.5]), level=0.95)
    error = JudgeError(np.array([0.03, -0.01]), np.array([0.02, 0.0]))
    found = threshold_margins(np.array([0.54, 0.55]), win_rates, groups, error, asked)
    np.testing.assert_allclose(found, [0.03 + 0.04 + 0.02, -0.01])
    spread = win_rates + 0.1 * np.repeat([[-1], [1], [-1], [1]], 3, axis=0)
    noisy = threshold_margins(np.array([0.54, 0.55]), spread, groups, error, asked)
    own = prompt_margins(spread, groups, 0.95)
    assert own[1] > 0.05
    np.testing.assert_allclose(noisy, [0.07 + np.hypot(0.02, own[0]), -0.01 + own[1]])
    tested = replace(asked, test_prompts=25, certificate_level=0.975)
    certified = threshold_margins(np.array([0.54, 0.55]), spread, groups, error, tested)
    width = certificate_margins(prompt_deviation(spread, groups), 25, 0.975)
    np.testing.assert_allclose(certified - noisy, width)
    assert width[0] > 0.04


@pytest.mark.slow
def test_margins_give_way_where_fresh_rows_leave_no_room_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_nearest(monkeypatch)
    win_rates, groups = fresh_sample()
    most = attainable_bounds(win_rates, tau=0.1, groups=groups)[1, 1]
    lag = FreshLag(every=1, target_ess=0.0)
    near = fresh_problem([most - 0.01, 0.0])
    state = resolved(near, win_rates, groups, lag, np.array([0.015, 0.0]))
    assert reached(state, win_rates, groups)[0] == pytest.approx(most - 0.01 + 0.0075, abs=1e-5)
    assert state.margin_share == 0.5
    assert LagState.from_arrays(state.arrays()).margin_share == 0.5
    with pytest.raises(TrainingStoppedError, match="can no longer meet the thresholds"):
        resolved(fresh_problem([most + 0.01, 0.0]), win_rates, groups, lag)


def test_a_step_on_too_few_rows_is_shortened() -> None:
    win_rates, groups = fresh_sample()
    tight = fresh_problem([0.75, 0.55])
    whole, bounded = (
        resolved(tight, win_rates, groups, FreshLag(every=1, target_ess=share))
        for share in (0.0, 0.5)
    )
    assert effective_share(whole.weights) < 0.4
    assert effective_share(bounded.weights) == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_array_equal(whole.multipliers, bounded.multipliers)


class FailingJudge(LengthJudge):
    def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
        return np.full((len(responses), 2), np.nan)


def test_a_judge_that_cannot_judge_stops_before_any_training(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag = FreshLag(every=1, judge="reward_models", reward_models={"help": "x"})
    with pytest.raises(InputError, match="no model for objective 'harm'"):
        fresh_judge.try_judge(lag, ("help", "harm"), None, run.rows)
    with pytest.raises(InputError, match="no prompt of the pocket task"):
        pocket = lag.model_copy(update={"judge": "pocket"})
        fresh_judge.try_judge(pocket, ("helpfulness", "harmlessness"), None, run.rows)
    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: FailingJudge())
    with pytest.raises(InputError, match="gave nan for objective 'help'"):
        fresh_judge.try_judge(lag, ("help", "harm"), None, run.rows)


def test_a_judge_that_fails_on_long_answers_stops_before_any_training(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breathless(LengthJudge):
        def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
            values = super().scores(prompts, responses)
            values[[len(text.split()) > 50 for text in responses]] = np.nan
            return values

    monkeypatch.setattr(fresh_judge, "judge_named", lambda *_, **__: Breathless())
    lag = FreshLag(every=1)
    fresh_judge.try_judge(lag, ("help", "harm"), None, run.rows)
    rows = pd.concat([run.rows] * 10, ignore_index=True)
    rows.loc[123, "response"] = "on and " * 30
    with pytest.raises(InputError, match="gave nan for objective 'help' on the answer 'on and on"):
        fresh_judge.try_judge(lag, ("help", "harm"), None, rows)


def test_only_responses_like_the_data_are_judged() -> None:
    seen: list[str] = []

    class Watching(LengthJudge):
        def scores(self, prompts: list[str], responses: list[str]) -> np.ndarray:
            seen.extend(responses)
            return super().scores(prompts, responses)

    rows = FreshRows(["p", "p", "q"], ["a a", "strange", "a"], [True] * 3, np.array([0, 0, 1]))
    behaviour = {"p": ["a", "a a a"], "q": ["a"]}
    known = np.array([True, False, True])
    win_rates = fresh_win_rates(Watching(), rows, behaviour, known)
    assert "strange" not in seen
    np.testing.assert_allclose(win_rates, [[0.5, 0.5], [0, 0], [0.5, 0.5]])
    nothing = fresh_win_rates(Watching(), rows, behaviour, np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(nothing, np.zeros((3, 2)))


@pytest.mark.slow
@pytest.mark.usefixtures("judged")
def test_what_the_policy_falls_short_of_on_validation_prompts_raises_its_targets(
    run: TrainingRun, tmp_path: Path
) -> None:
    """The validation opponents are one word long, so the short-answer objective fares worse there."""
    lag = FreshLag(
        every=6,
        fresh_prompts=8,
        fresh_responses=6,
        max_new_tokens=6,
        support_quantile=None,
        target_ess=0.0,
    )
    assert run.problem is not None
    problem = replace(run.problem, thresholds=np.array([0.3]), values=np.array([0.5]))
    validation = run.rows[["unit", "prompt"]].drop_duplicates().assign(response="red")
    states = {}
    for name, rows, count in (
        ("with", validation, 64),
        ("without", validation.iloc[:0], 64),
        ("off", validation, 0),
    ):
        given = lag.model_copy(update={"validation_prompts": count})
        fresh = replace(run, lag=given, problem=problem, validation=rows)
        states[name] = trained(fresh, tmp_path / name, set()).lag_state
    assert states["with"].targets[0] > states["without"].targets[0] + 0.05
    np.testing.assert_array_equal(states["off"].weights, states["without"].weights)
