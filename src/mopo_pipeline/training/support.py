"""Whether fresh responses are like the data, the only ground on which a judge's word was learned."""

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.mopo.errors import TrainingStoppedError
from mopo_pipeline.tables import prompt_text


def like_data(
    own: Array, data: EncodedRows, logprob: Array, rows: EncodedRows, quantile: float
) -> NDArray[np.bool_]:
    """Which rows (n,) are no less likely than (almost) all of the data's own, per token and as a whole.

    One long text in the data lets every sum pass, whatever is said; one wrong step in the middle of an
    answer hardly moves its mean per token.

    Args:
        own: (N,) log-probabilities of the data, nats.
        data: its rows.
        logprob: (n,) log-probabilities under the same model, nats.
        rows: the rows asked about.
        quantile: of the data that counts as unlikely, in [0, 1).
    """
    least, least_each = (np.quantile(v, quantile) for v in (own, _per_token(own, data)))
    return np.asarray((logprob >= least) & (_per_token(logprob, rows) >= least_each))


def _per_token(logprob: Array, rows: EncodedRows) -> Array:
    """Log-probability per scored token of each row, (n,), nats."""
    return np.asarray(logprob / np.maximum(rows.response_lengths, 1))


def refuse_unlike_data(
    known: NDArray[np.bool_], prompts: list[str], responses: list[str], least: float, step: int
) -> None:
    """Go no further where nobody can say what most of the policy's answers are worth.

    Args:
        known: (n,) responses like the data's own.
        prompts: n stored prompts.
        responses: n texts.
        least: share of the responses that must be known, 0 to 1.
        step: of the run.

    Raises:
        TrainingStoppedError: fewer are; with one of the others.
    """
    share = float(known.mean())
    if share >= least:
        return
    strange = int(np.flatnonzero(~known)[0])
    raise TrainingStoppedError(
        f"stopped at step {step}: {share:.0%} of the fresh responses are like the data, train.lag.min_support asks for "
        f"{least:.0%}; to {prompt_text(prompts[strange])[:60]!r} the policy says {responses[strange][:60]!r}: lower "
        "train.fit.learning_rate, raise plan.tau or refresh less often; checkpoints are kept"
    )
