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
from mopo_pipeline.language.lag import DualProblem, LagState, TrainingStoppedError
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, rank_and_world, shared_out
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.language.trainer import WeightedTrainer
from mopo_pipeline.mopo import (
    DualSolution,
    InfeasibleThresholdsError,
    epsilon_for_confidence,
    lower_bound,
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
    judge = fresh_judge(lag, problem.objectives, spec["scorer"])
    win_rates = fresh_win_rates(judge, fresh, behaviour, known, rank_and_world())
    solved = solve_fresh(trainer.lag_state, problem, win_rates, fresh.groups, lag)
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


def solve_fresh(
    state: LagState,
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    lag: LagParams,
) -> LagState:
    """Multipliers and weights of fresh rows.

    Thresholds are raised by a margin at the plan's confidence: for how prompts differ and, where the
    judge was fitted on labels, for their noise as in the plan. The weights are tempered until
    ``lag.target_ess`` of the rows is effective.

    Args:
        state: before the refresh.
        problem: thresholds, temperature and margins.
        win_rates: (n, K) of the fresh rows.
        groups: (n,) prompt of each.
        lag: ``beta``, ``judge`` and ``target_ess``.

    Raises:
        TrainingStoppedError: the thresholds themselves are out of reach of the fresh rows.
    """
    thresholds = state.thresholds if lag.beta is None else lag.beta * state.bounds
    label_noise = problem.margins * (lag.judge == "preference_model")
    margins = label_noise
    for _ in range(MARGIN_ROUNDS):
        solution = _solve(problem, win_rates, groups, thresholds, margins)
        varied = prompt_margins(win_rates[:, 1:], solution.ratio, groups, problem.confidence)
        margins = np.hypot(label_noise, varied)
    solution = _solve(problem, win_rates, groups, thresholds, margins)
    return replace(
        state,
        weights=tempered(solution.ratio, lag.target_ess),
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.values[1:] - margins,
        ess=1.0,
        refreshes=state.refreshes + 1,
    )


MARGIN_ROUNDS = 3
"""Margins depend on the ratio they change, by less than a tenth: three rounds settle them to 1e-4."""


def prompt_margins(
    values: Array, ratio: Array, groups: NDArray[np.int64], confidence: float
) -> Array:
    """Mean less lower bound (eq. 4) of a policy's values over prompts as a sample of all prompts.

    Args:
        values: (n, J) win rates.
        ratio: (n,) importance ratio.
        groups: (n,) prompt of each row.
        confidence: one-sided, in [.5, 1).

    Returns:
        (J,) >= 0.

    >>> values, groups = np.array([[0.4], [0.4], [0.6], [0.6]]), np.array([0, 0, 1, 1])
    >>> prompt_margins(values, np.ones(4), groups, 0.5).tolist()
    [0.0]
    >>> bool(prompt_margins(values, np.ones(4), groups, 0.8)[0] > 0.05)
    True
    """
    mass = np.bincount(groups, ratio)
    present = mass > 0
    epsilon = epsilon_for_confidence(int(present.sum()), confidence)
    margins = np.empty(values.shape[1])
    for k, column in enumerate(values.T):
        mean = np.bincount(groups, ratio * column)[present] / mass[present]
        margins[k] = mean.mean() - lower_bound(mean, None, epsilon).value
    return margins


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
