"""Without new text: the duals solved again on the data's rows, for a moved reference or for what validation labels miss."""

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.processes import from_first
from mopo_pipeline.mopo.labelled import Seen
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.candidates import Weighed, weighed
from mopo_pipeline.mopo.schedule.lag import corrected, period_rows, refresh, seen_margins
from mopo_pipeline.parameters.lag import OfflineLag
from mopo_pipeline.training.patience import look
from mopo_pipeline.training.trainer import WeightedTrainer
from mopo_pipeline.training.validation import LabelledAnswers


def correction_steps(steps: int, rounds: int) -> list[int]:
    """The steps of a run after which its targets are corrected: evenly over the second half.

    >>> correction_steps(700, 2), correction_steps(3, 2), correction_steps(700, 0)
    ([350, 525], [2], [])
    """
    found = {round(steps * (0.5 + 0.5 * i / rounds)) for i in range(rounds)}
    return sorted(step for step in found if 0 < step < steps)


class OfflineLoop:
    """Looks at validation labels and solves again.

    Args:
        trainer: of the run.
        problem: thresholds to hold.
        labelled: validation answers with labels; None sees nothing and raises nothing.
    """

    def __init__(
        self, trainer: WeightedTrainer, problem: DualProblem, labelled: LabelledAnswers | None
    ) -> None:
        self.trainer, self.problem, self.labelled = trainer, problem, labelled

    def weigh(self) -> Weighed | None:
        """The policy's values on validation prompts now, and what a certificate asks of them."""
        seen = self._seen()
        if seen is None:
            return None
        return weighed(seen, self._required(seen))

    def look(self) -> Seen | None:
        """The policy's values on validation prompts now, written with the next logged step."""
        seen = self._seen()
        if seen is not None:
            look(self.trainer, seen, self._required(seen))
        return seen

    def _required(self, seen: Seen) -> Array:
        """Least values (K-1,) at which thresholds count as seen to hold."""
        return np.asarray(self.problem.thresholds + seen_margins(self.problem, seen))

    def _seen(self) -> Seen | None:
        first = self.trainer.first_validation
        if self.labelled is None or first is None:
            return None
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        logprob = self.trainer.score(model, self.labelled.rows, "labelled validation answers")
        return self.labelled.seen(logprob, first)

    def correct(self, max_multiplier: float) -> None:
        """Raise what is aimed at by what the policy is seen to miss; the reference stays."""
        seen = self.look()
        if seen is not None:
            state = corrected(self.trainer.lag_state, self.problem, seen, max_multiplier)
            self.trainer.take_rows(self.trainer.rows, from_first(state))

    def refresh(self, lag: OfflineLag, seed: int) -> None:
        """Move the reference to the policy of one lag ago, reweigh this period's rows."""
        trainer, seen = self.trainer, self.look()
        state = trainer.lag_state
        rows = lag.rows or lag.every * trainer.sampler.schedule.batch_size
        this, following = (
            period_rows(self.problem.groups, rows, seed, state.refreshes + later)
            for later in (1, 2)
        )
        last = trainer.state.global_step + lag.every >= trainer.state.max_steps
        state = refresh(
            state,
            self.problem,
            state.pending_logprob if last else trainer.logprobs_now(following),
            this,
            max_ratio=lag.max_ratio,
            beta=lag.beta,
            min_ess=lag.min_ess,
            max_multiplier=lag.max_multiplier,
            seen=seen,
        )
        trainer.take_rows(trainer.rows, from_first(state))
