"""The reference moves to where the policy is: fresh responses of the policy, judged, weighted, trained on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.lengths import cut_finding, tell, typical_longest
from mopo_pipeline.language.loading import load_model
from mopo_pipeline.language.processes import from_first, rank_and_world, sharded
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.mopo import JudgeError, judge_error
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.candidates import Weighed, weighed
from mopo_pipeline.mopo.schedule.fresh import judged_margins, solve_fresh, threshold_margins
from mopo_pipeline.mopo.schedule.lag import period_rows
from mopo_pipeline.parameters.lag import FreshLag
from mopo_pipeline.streams import refresh_seed
from mopo_pipeline.training.fresh_judge import fresh_judge
from mopo_pipeline.training.fresh_rows import Drawn, answered, draw_fresh_rows, fresh_win_rates
from mopo_pipeline.training.patience import look
from mopo_pipeline.training.run_spec import RunSpec
from mopo_pipeline.training.support import like_data, refuse_unlike_data
from mopo_pipeline.training.trainer import WeightedTrainer

CUT_FRESH = "the policy did not end them: raise train.lag.max_new_tokens and reference.context"


class FreshRefresh:
    """Moves the reference of a run by drawing from its policy.

    Args:
        trainer: of the run.
        problem: thresholds to hold.
        spec: of the run.
        lag: its mode.
        table: training rows: prompt, response.
        data: their tokens.
        validation: prompt and response of prompts nothing is trained on; may be empty.
        tokenizer: of the model.
    """

    def __init__(
        self,
        trainer: WeightedTrainer,
        problem: DualProblem,
        spec: RunSpec,
        lag: FreshLag,
        table: pd.DataFrame,
        data: EncodedRows,
        validation: pd.DataFrame,
        tokenizer: Any,
    ) -> None:
        self.trainer, self.problem, self.spec = trainer, problem, spec
        self.lag = lag
        self.data, self.tokenizer, self.context = data, tokenizer, spec.context
        self.longest = lag.max_new_tokens or typical_longest(data.response_lengths)
        self.behaviour, self.validation = map(_by_prompt, (table, validation))
        self.units = _units(table) | _units(validation)
        self.judge = fresh_judge(lag, problem.objectives, spec.scorer)
        self._first: Any = None

    def refresh(self) -> None:
        """Draw fresh responses from the policy, solve the duals on them, train on them."""
        trainer, lag = self.trainer, self.lag
        drawn = self.draw(self.behaviour, lag.fresh_prompts, validation=False)
        refuse_unlike_data(
            drawn.known,
            drawn.fresh.prompts,
            drawn.fresh.responses,
            lag.min_support,
            trainer.state.global_step,
        )
        seen = self._unseen_prompts() or drawn
        self._first = None  # the memory is needed for training
        error = self.error()
        look(trainer, answered(seen, error), self._required(seen, error))
        state = trainer.lag_state
        margins = threshold_margins(
            state.targets,
            seen.win_rates[:, 1:],
            seen.units,
            JudgeError(error.bias[1:], error.noise[1:]),
            self.problem,
        )
        solved = solve_fresh(
            state,
            self.problem,
            drawn.win_rates,
            drawn.fresh.groups,
            margins,
            beta=lag.beta,
            target_ess=lag.target_ess,
            max_multiplier=lag.max_multiplier,
        )
        state = from_first(replace(solved, support=float(drawn.known.mean())))
        fresh = drawn.fresh
        trainer.fresh = {
            "prompts": fresh.prompts,
            "responses": fresh.responses,
            "ended": fresh.ended,
        }
        trainer.take_rows(drawn.rows, state)
        logprob = trainer.logprobs_now()
        trainer.lag_state = replace(
            state, initial_logprob=logprob, lagged_logprob=logprob, pending_logprob=logprob
        )

    def look(self) -> None:
        """The policy's values on validation prompts now, written with the next logged step."""
        seen = self._unseen_prompts()
        self._first = None
        if seen is not None:
            error = self.error()
            look(self.trainer, answered(seen, error), self._required(seen, error))

    def weigh(self) -> Weighed | None:
        """The policy's values on validation prompts now, and what a certificate asks of them."""
        seen = self._unseen_prompts()
        self._first = None
        if seen is None:
            return None
        error = self.error()
        return weighed(answered(seen, error), self._required(seen, error))

    def _required(self, seen: Drawn, error: JudgeError) -> Array:
        """Least values (K-1,), the judge's bias taken off, at which thresholds count as seen to hold."""
        margins = judged_margins(
            seen.win_rates[:, 1:],
            seen.units,
            JudgeError(error.bias[1:], error.noise[1:]),
            self.problem,
        )
        return np.asarray(self.problem.thresholds + margins)

    def _unseen_prompts(self) -> Drawn | None:
        """Answers to validation prompts; None where there are none to ask."""
        if not (self.validation and self.lag.validation_prompts):
            return None
        return self.draw(self.validation, self.lag.validation_prompts, validation=True)

    def draw(self, behaviour: dict[str, list[str]], n_prompts: int, *, validation: bool) -> Drawn:
        """Fresh responses to some of the prompts, judged against the original ones.

        Args:
            behaviour: original responses by stored prompt.
            n_prompts: prompts drawn, at most all.
            validation: whether the prompts are of that split; the two draws of a refresh differ.
        """
        lag, model = self.lag, self._model()
        # A sharded model generates in step: all draw the same, and the first one's counts.
        process = (0, 1) if sharded(model) else rank_and_world()
        refresh = self.trainer.lag_state.refreshes + 1
        fresh = from_first(
            draw_fresh_rows(
                model,
                self.tokenizer,
                list(behaviour),
                n_prompts=n_prompts,
                n_responses=lag.fresh_responses,
                max_new_tokens=self.longest,
                top_p=lag.top_p,
                seed=refresh_seed(self.spec.seed, refresh, validation=validation),
                process=process,
            )
        )
        rows = encode(self.tokenizer, fresh.prompts, fresh.responses, self.context, fresh.ended)
        cut = rows.truncated | ~np.array(fresh.ended, dtype=bool)
        tell(cut_finding(cut, "fresh responses", CUT_FRESH))
        known = self.like_the_data(rows)
        win_rates = fresh_win_rates(self.judge, fresh, behaviour, known, rank_and_world())
        units = np.array([self.units[prompt] for prompt in fresh.prompts])
        return Drawn(fresh, rows, known, win_rates, units)

    def like_the_data(self, rows: EncodedRows) -> NDArray[np.bool_]:
        """Which fresh rows (n,) the first reference finds no less likely than (almost) all of the data's own.

        The rest is unlike anything the win rates were learned from. It counts as losing every
        comparison, the least a win rate can be, so that a policy cannot gain by leaving the data.
        """
        own, model = self.trainer.first_logprob, self._model()
        if self.lag.support_quantile is None or not np.isfinite(own).all():
            return np.ones(len(rows.ids), dtype=bool)
        description = "fresh responses under the first reference"
        if self.spec.lora is not None:
            with model.disable_adapter():
                logprob = self.trainer.score(model, rows, description)
        else:
            if self._first is None:
                first: Any = load_model(self.spec.model, device="cpu")[0]
                self._first = first.to(self.trainer.args.device)
            with self.trainer.accelerator.autocast():
                logprob = self.trainer.score(self._first, rows, description)
        return like_data(own, self.data, logprob, rows, self.lag.support_quantile)

    def error(self) -> JudgeError:
        """The fitted judge's error where the policy is now, from the labels of this period's prompts."""
        problem, lag = self.problem, self.lag
        nothing = JudgeError(*np.zeros((2, len(problem.objectives))))
        if lag.judge != "preference_model":
            return nothing
        asked = lag.rows or lag.every * self.trainer.sampler.schedule.batch_size
        period = self.trainer.lag_state.refreshes + 1
        chosen = period_rows(problem.groups, asked, self.spec.seed, period)
        part = problem.restricted(chosen)
        if part.comparisons is None or part.comparisons.predicted is None:
            return nothing
        labelled = self.data.subset(np.flatnonzero(chosen))
        logprob = self.trainer.score(self._model(), labelled, "labelled responses under the policy")
        ratio = np.minimum(np.exp(logprob - self.trainer.first_logprob[chosen]), lag.max_ratio)
        return judge_error(part.comparisons, ratio, part.groups, problem.level)

    def _model(self) -> Any:
        return self.trainer.accelerator.unwrap_model(self.trainer.model)


def _by_prompt(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Responses by stored prompt."""
    grouped = rows.groupby("prompt", sort=False)["response"].apply(list)
    return {str(prompt): responses for prompt, responses in grouped.items()}


def _units(rows: pd.DataFrame) -> dict[str, int]:
    """Number of what each stored prompt was drawn with."""
    return dict(zip(rows["prompt"], map(int, pd.factorize(rows["unit"])[0]), strict=True))
