"""The reference moves by resampling: fresh responses of the policy, judged, weighted, trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.judges.base import Judge, score
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.language.fresh import draw_fresh_rows, fresh_win_rates
from mopo_pipeline.language.lag import DualProblem, LagState, TrainingStoppedError, period_rows
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, rank_and_world, shared_out
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.language.trainer import WeightedTrainer
from mopo_pipeline.mopo import (
    DualSolution,
    InfeasibleThresholdsError,
    JudgeError,
    judge_error,
    prompt_margins,
    solve_dual,
    tempered,
)
from mopo_pipeline.parameters.train import FitParams, LagParams

Array = NDArray[np.float64]


def fresh_judge(
    lag: LagParams, objectives: tuple[str, ...], preference_model: str | Path | None
) -> Judge:
    """Who judges fresh responses."""
    return judge_named(
        lag.judge, objectives, preference_model=preference_model, reward_models=lag.reward_models
    )


def try_judge(
    lag: LagParams,
    objectives: tuple[str, ...],
    preference_model: str | Path | None,
    rows: pd.DataFrame,
) -> None:
    """Judge the first response of the data, so that a judge that can't fails before any training.

    Raises:
        InputError: says what the judge lacks.
    """
    first = rows.iloc[:1]
    score(
        fresh_judge(lag, objectives, preference_model),
        first["prompt"].tolist(),
        first["response"].tolist(),
    )


def resample_refresh(
    trainer: WeightedTrainer,
    problem: DualProblem,
    lag: LagParams,
    spec: dict[str, Any],
    table: pd.DataFrame,
    data: EncodedRows,
    tokenizer: Any,
    fit: FitParams,
) -> None:
    """Draw fresh responses from the policy, solve the duals on them, train on them."""
    count = trainer.lag_state.refreshes + 1
    behaviour = table.groupby("prompt", sort=False)["response"].apply(list).to_dict()
    model = trainer.accelerator.unwrap_model(trainer.model)
    # A model shared out among processes generates in step: all draw the same, and the first one's counts.
    share = (0, 1) if shared_out(model) else rank_and_world()
    fresh = from_first(
        draw_fresh_rows(
            model,
            tokenizer,
            list(behaviour),
            n_prompts=lag.fresh_prompts,
            n_responses=lag.fresh_responses,
            max_new_tokens=lag.max_new_tokens,
            top_p=lag.top_p,
            seed=spec["seed"] * 1009 + count,
            share=share,
        )
    )
    rows = encode(tokenizer, fresh.prompts, fresh.responses, fit.max_length)
    known = like_the_data(trainer, model, rows, table, lag, spec)
    error = what_labels_say(trainer, model, data, problem, lag, spec, table)
    judge = fresh_judge(lag, problem.objectives, spec["scorer"])
    win_rates = fresh_win_rates(judge, fresh, behaviour, known, rank_and_world())
    solved = solve_fresh(trainer.lag_state, problem, win_rates, fresh.groups, error, lag)
    state = from_first(replace(solved, support=float(known.mean())))
    trainer.fresh = {"prompts": fresh.prompts, "responses": fresh.responses}
    trainer.take_rows(rows, state)
    logprob = trainer.logprobs_now()
    trainer.lag_state = replace(
        state, initial_logprob=logprob, lagged_logprob=logprob, pending_logprob=logprob
    )


def like_the_data(
    trainer: WeightedTrainer,
    model: Any,
    rows: EncodedRows,
    table: pd.DataFrame,
    lag: LagParams,
    spec: dict[str, Any],
) -> NDArray[np.bool_]:
    """Which fresh rows the first reference finds no less likely than (almost) all of the data's own.

    The rest is unlike anything the win rates were learned from. It counts as losing every
    comparison, the least a win rate can be, so that a policy cannot gain by leaving the data.
    """
    own = table["reference_logprob"].to_numpy(dtype=np.float64)
    if lag.support_quantile is None or not np.isfinite(own).all():
        return np.ones(len(rows.ids), dtype=bool)
    description = "fresh responses under the first reference"
    if spec["lora"] is not None:
        with model.disable_adapter():
            logprob = trainer.score(model, rows, description)
    else:
        first, _ = load_model(spec["model"], device="cpu")
        logprob = trainer.score(first.to(trainer.args.device), rows, description)
    known: NDArray[np.bool_] = logprob >= np.quantile(own, lag.support_quantile)
    return known


def what_labels_say(
    trainer: WeightedTrainer,
    model: Any,
    data: EncodedRows,
    problem: DualProblem,
    lag: LagParams,
    spec: dict[str, Any],
    table: pd.DataFrame,
) -> JudgeError:
    """The fitted judge's error where the policy is now, from the labels of this period's prompts."""
    constrained = len(problem.objectives) - 1
    nothing = JudgeError(np.zeros(constrained), np.zeros(constrained))
    if lag.judge != "preference_model":
        return nothing
    asked = lag.rows or int(lag.every or 0) * trainer.schedule.batch_size
    chosen = period_rows(problem.groups, asked, spec["seed"], trainer.lag_state.refreshes + 1)
    part = problem.restricted(chosen)
    if part.comparisons is None or part.comparisons.predicted is None:
        return nothing
    logprob = trainer.score(
        model, data.subset(np.flatnonzero(chosen)), "labelled responses under the policy"
    )
    gap = logprob - table["reference_logprob"].to_numpy(dtype=np.float64)[chosen]
    ratio = np.minimum(np.exp(gap), lag.max_ratio)
    found = judge_error(part.comparisons, ratio, part.groups, part.confidence)
    return JudgeError(found.bias[1:], found.noise[1:])


def solve_fresh(
    state: LagState,
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    error: JudgeError,
    lag: LagParams,
) -> LagState:
    """Multipliers and weights of fresh rows.

    The dual holds judged values on fresh rows, the user true values on all prompts. So thresholds are
    raised by the judge's bias, by what the policy fell short of at the last refresh, and by a margin
    at the plan's confidence for the noise of that bias and for how prompts differ. The weights are
    tempered until ``lag.target_ess`` of the rows is effective.

    Args:
        state: before the refresh.
        problem: thresholds, temperature and confidence.
        win_rates: (n, K) of the fresh rows.
        groups: (n,) prompt of each.
        error: of the judge on the constrained objectives.
        lag: ``beta`` and ``target_ess``.

    Raises:
        TrainingStoppedError: the thresholds themselves are out of reach of the fresh rows.
    """
    thresholds = state.thresholds if lag.beta is None else lag.beta * state.bounds
    shortfall = np.maximum(state.targets - win_rates[:, 1:].mean(axis=0), 0.0)
    margins = error.bias + shortfall + error.noise
    for _ in range(MARGIN_ROUNDS):
        solution = _solve(problem, win_rates, groups, thresholds, margins)
        varied = prompt_margins(win_rates[:, 1:], solution.ratio, groups, problem.confidence)
        margins = error.bias + shortfall + np.hypot(error.noise, varied)
    solution = _solve(problem, win_rates, groups, thresholds, margins)
    weights = tempered(solution.ratio, lag.target_ess)
    return replace(
        state,
        weights=weights,
        active=np.ones(len(win_rates), dtype=bool),
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.values[1:] - margins,
        targets=weights @ win_rates[:, 1:] / weights.sum(),
        ess=1.0,
        refreshes=state.refreshes + 1,
    )


MARGIN_ROUNDS = 3
"""Margins depend on the ratio they change, by less than a tenth: three rounds settle them to 1e-4."""


def _solve(
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    thresholds: Array,
    margins: Array,
) -> DualSolution:
    """The duals with thresholds raised by margins, by half of them or not at all, as these rows allow."""
    for share in (1.0, 0.5, 0.0):
        try:
            return solve_dual(
                win_rates,
                thresholds + share * margins,
                tau=problem.tau,
                groups=groups,
                pooling=problem.pooling,
                variant=problem.variant,
            )
        except InfeasibleThresholdsError as error:
            failure = error
    raise TrainingStoppedError(
        f"fresh responses of the policy can no longer meet the thresholds: {failure}"
    ) from failure
