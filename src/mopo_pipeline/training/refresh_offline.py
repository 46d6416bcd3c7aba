"""The reference moves by reweighing: the policy of one lag ago on the data's own rows."""

from mopo_pipeline.language.processes import from_first
from mopo_pipeline.mopo.problem import DualProblem
from mopo_pipeline.mopo.schedule.lag import period_rows, refresh
from mopo_pipeline.parameters.lag import OfflineLag
from mopo_pipeline.training.trainer import WeightedTrainer


def offline_refresh(
    trainer: WeightedTrainer,
    problem: DualProblem,
    lag: OfflineLag,
    seed: int,
) -> None:
    """Move the reference to the policy of one lag ago, reweigh this period's rows."""
    state = trainer.lag_state
    rows = lag.rows or lag.every * trainer.sampler.schedule.batch_size
    this, following = (
        period_rows(problem.groups, rows, seed, state.refreshes + later) for later in (1, 2)
    )
    last = trainer.state.global_step + lag.every >= trainer.state.max_steps
    state = refresh(
        state,
        problem,
        state.pending_logprob if last else trainer.logprobs_now(following),
        this,
        max_ratio=lag.max_ratio,
        beta=lag.beta,
        min_ess=lag.min_ess,
        max_multiplier=lag.max_multiplier,
    )
    trainer.take_rows(trainer.rows, from_first(state))
