"""The reference moves by resampling: fresh responses of the policy, judged, weighted, trained on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.judges.base import Judge, score
from mopo_pipeline.judges.named import judge_named
from mopo_pipeline.language.fresh import FreshRows, draw_fresh_rows, fresh_win_rates
from mopo_pipeline.language.lag import DualProblem, LagState, TrainingStoppedError, period_rows
from mopo_pipeline.language.lengths import cut_finding, tell, typical_longest
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, rank_and_world, shared_out
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.language.trainer import WeightedTrainer
from mopo_pipeline.mopo import (
    DualSolution,
    InfeasibleThresholdsError,
    JudgeError,
    NotConvergedError,
    judge_error,
    learned_values,
    prompt_margins,
    solve_dual,
    tempered,
    tempering_power,
)
from mopo_pipeline.parameters.train import LagParams

Array = NDArray[np.float64]

CUT_FRESH = "the policy did not end them: raise train.lag.max_new_tokens and reference.context"


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


@dataclass(frozen=True)
class Drawn:
    """Fresh responses with what is known of them.

    Attributes:
        fresh: n responses.
        rows: their tokens.
        known: (n,) responses like the data's own.
        win_rates: (n, K) judged, 0 where not known.
    """

    fresh: FreshRows
    rows: EncodedRows
    known: NDArray[np.bool_]
    win_rates: Array


class Resampler:
    """Moves the reference of a run by drawing from its policy.

    Args:
        trainer: of the run.
        problem: thresholds to hold.
        lag: parameters.
        spec: of the run: model, lora, seed, scorer.
        table: training rows: prompt, response.
        data: their tokens.
        held_out: prompt and response of prompts nothing is trained on; may be empty.
        tokenizer: of the model.
    """

    def __init__(
        self,
        trainer: WeightedTrainer,
        problem: DualProblem,
        lag: LagParams,
        spec: dict[str, Any],
        table: pd.DataFrame,
        data: EncodedRows,
        held_out: pd.DataFrame,
        tokenizer: Any,
    ) -> None:
        self.trainer, self.problem, self.lag, self.spec = trainer, problem, lag, spec
        self.data, self.tokenizer, self.context = data, tokenizer, spec["context"]
        self.longest = lag.max_new_tokens or typical_longest(data.response_lengths)
        self.behaviour, self.held_out = (
            rows.groupby("prompt", sort=False)["response"].apply(list).to_dict()
            for rows in (table, held_out)
        )
        self.judge = fresh_judge(lag, problem.objectives, spec["scorer"])
        self._first: Any = None

    def refresh(self) -> None:
        """Draw fresh responses from the policy, solve the duals on them, train on them."""
        trainer, lag, state = self.trainer, self.lag, self.trainer.lag_state
        drawn = self.draw(self.behaviour, lag.fresh_prompts, 0)
        seen = drawn
        if self.held_out and lag.held_out_prompts:
            seen = self.draw(self.held_out, lag.held_out_prompts, 1)
        self._first = None  # the memory is needed for training
        margins = threshold_margins(
            state.targets,
            seen.win_rates[:, 1:],
            seen.fresh.groups,
            self.error(),
            self.problem.level,
        )
        solved = solve_fresh(state, self.problem, drawn.win_rates, drawn.fresh.groups, margins, lag)
        state = from_first(replace(solved, support=float(drawn.known.mean())))
        fresh = drawn.fresh
        trainer.fresh = {
            "prompts": fresh.prompts, "responses": fresh.responses, "ended": fresh.ended,
        }  # fmt: skip
        trainer.take_rows(drawn.rows, state)
        logprob = trainer.logprobs_now()
        trainer.lag_state = replace(
            state, initial_logprob=logprob, lagged_logprob=logprob, pending_logprob=logprob
        )

    def draw(self, behaviour: dict[str, list[str]], n_prompts: int, stream: int) -> Drawn:
        """Fresh responses to some of the prompts, judged against the original ones.

        Args:
            behaviour: original responses by stored prompt.
            n_prompts: prompts drawn, at most all.
            stream: 0 or 1, so that two draws of a refresh differ.
        """
        lag, model = self.lag, self._model()
        # A model shared out among processes generates in step: all draw the same, and the first one's counts.
        share = (0, 1) if shared_out(model) else rank_and_world()
        count = 2 * (self.trainer.lag_state.refreshes + 1) + stream
        fresh = from_first(
            draw_fresh_rows(
                model,
                self.tokenizer,
                list(behaviour),
                n_prompts=n_prompts,
                n_responses=lag.fresh_responses,
                max_new_tokens=self.longest,
                top_p=lag.top_p,
                seed=self.spec["seed"] * 1009 + count,
                share=share,
            )
        )
        rows = encode(self.tokenizer, fresh.prompts, fresh.responses, self.context, fresh.ended)
        cut = rows.truncated | ~np.array(fresh.ended, dtype=bool)
        tell(cut_finding(cut, "fresh responses", CUT_FRESH))
        known = self.like_the_data(rows)
        win_rates = fresh_win_rates(self.judge, fresh, behaviour, known, rank_and_world())
        return Drawn(fresh, rows, known, win_rates)

    def like_the_data(self, rows: EncodedRows) -> NDArray[np.bool_]:
        """Which fresh rows the first reference finds no less likely than (almost) all of the data's own.

        The rest is unlike anything the win rates were learned from. It counts as losing every
        comparison, the least a win rate can be, so that a policy cannot gain by leaving the data.
        """
        own, model = self.trainer.first_logprob, self._model()
        if self.lag.support_quantile is None or not np.isfinite(own).all():
            return np.ones(len(rows.ids), dtype=bool)
        description = "fresh responses under the first reference"
        if self.spec["lora"] is not None:
            with model.disable_adapter():
                logprob = self.trainer.score(model, rows, description)
        else:
            if self._first is None:
                first, _ = load_model(self.spec["model"], device="cpu")
                self._first = first.to(self.trainer.args.device)
            with self.trainer.accelerator.autocast():
                logprob = self.trainer.score(self._first, rows, description)
        known: NDArray[np.bool_] = logprob >= np.quantile(own, self.lag.support_quantile)
        return known

    def error(self) -> JudgeError:
        """The fitted judge's error where the policy is now, from the labels of this period's prompts."""
        problem, lag = self.problem, self.lag
        nothing = JudgeError(*np.zeros((2, len(problem.objectives) - 1)))
        if lag.judge != "preference_model":
            return nothing
        asked = lag.rows or int(lag.every or 0) * self.trainer.schedule.batch_size
        period = self.trainer.lag_state.refreshes + 1
        chosen = period_rows(problem.groups, asked, self.spec["seed"], period)
        part = problem.restricted(chosen)
        if part.comparisons is None or part.comparisons.predicted is None:
            return nothing
        labelled = self.data.subset(np.flatnonzero(chosen))
        logprob = self.trainer.score(self._model(), labelled, "labelled responses under the policy")
        ratio = np.minimum(np.exp(logprob - self.trainer.first_logprob[chosen]), lag.max_ratio)
        found = judge_error(part.comparisons, ratio, part.groups, problem.level)
        return JudgeError(found.bias[1:], found.noise[1:])

    def _model(self) -> Any:
        return self.trainer.accelerator.unwrap_model(self.trainer.model)


def threshold_margins(
    targets: Array,
    win_rates: Array,
    groups: NDArray[np.int64],
    error: JudgeError,
    confidence: float,
) -> Array:
    """What thresholds are raised by, so that a policy trained on judged fresh rows truly holds them.

    The dual holds judged values of a target on training prompts; the user asked for true values of
    the policy on all prompts. Between them lie the judge's bias, what the policy falls short of its
    target, and, at the plan's confidence, the noise of both.

    Args:
        targets: (K-1,) judged values aimed at by the last refresh.
        win_rates: (n, K-1) judged, of what the policy says now: to held-out prompts where there are any.
        groups: (n,) prompt of each.
        error: of the judge.
        confidence: one-sided, in [.5, 1).
    """
    shortfall = np.maximum(targets - win_rates.mean(axis=0), 0.0)
    varied = prompt_margins(win_rates, groups, confidence)
    return np.asarray(error.bias + shortfall + np.hypot(error.noise, varied))


def solve_fresh(
    state: LagState,
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    margins: Array,
    lag: LagParams,
) -> LagState:
    """Multipliers and weights of fresh rows.

    The weights are tempered until ``lag.target_ess`` of the rows is effective.

    Args:
        state: before the refresh.
        problem: thresholds and temperature.
        win_rates: (n, K) of the fresh rows.
        groups: (n,) prompt of each.
        margins: (K-1,) the thresholds are raised by.
        lag: ``beta`` and ``target_ess``.

    Raises:
        TrainingStoppedError: the thresholds themselves are out of reach of the fresh rows.
    """
    thresholds = state.thresholds if lag.beta is None else lag.beta * state.bounds
    solution, kept = _solve(problem, win_rates, groups, thresholds, margins)
    weights = tempered(solution.ratio, lag.target_ess)
    return replace(
        state,
        weights=weights,
        active=np.ones(len(win_rates), dtype=bool),
        multipliers=solution.multipliers,
        thresholds=thresholds,
        bounds=solution.values[1:] - margins,
        margin_share=kept,
        targets=stepped_values(
            solution.ratio, lag.target_ess, solution.multipliers, problem.tau, win_rates, groups
        ),
        ess=1.0,
        refreshes=state.refreshes + 1,
    )


def stepped_values(
    ratio: Array,
    target_ess: float,
    multipliers: Array,
    tau: float,
    win_rates: Array,
    groups: NDArray[np.int64],
) -> Array:
    """Win rates (K-1,) of the policy that weights tempered to ``target_ess`` teach."""
    power = tempering_power(ratio, target_ess)
    exponent = power * (win_rates @ np.append(1.0, multipliers)) / tau
    return learned_values(exponent, win_rates[:, 1:], groups)


def _solve(
    problem: DualProblem,
    win_rates: Array,
    groups: NDArray[np.int64],
    thresholds: Array,
    margins: Array,
) -> tuple[DualSolution, float]:
    """The duals with thresholds raised by margins, by half of them or not at all, as these rows allow.

    Returns:
        The solution and the share of the margins kept.
    """
    for share in (1.0, 0.5, 0.0):
        try:
            solution = solve_dual(
                win_rates,
                thresholds + share * margins,
                tau=problem.tau,
                groups=groups,
                pooling=None,
                variant=problem.variant,
            )
        except (InfeasibleThresholdsError, NotConvergedError) as error:
            failure = error
            continue
        return solution, share
    raise TrainingStoppedError(
        f"fresh responses of the policy can no longer meet the thresholds: {failure}"
    ) from failure
