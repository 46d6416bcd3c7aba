"""log pi(y | x): summed over the response's tokens, in length-sorted batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.language.forward import hidden_size, response_logprobs
from mopo_pipeline.language.packing import (
    pack,
    piece_length,
    split_by_prompt,
)
from mopo_pipeline.language.processes import in_step
from mopo_pipeline.language.prompt_sharing import sharing_allowed
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.parameters.evaluate import BATCH_TOKENS
from mopo_pipeline.progress import track

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SequenceLogprobs(NamedTuple):
    """Per row: log-probability in nats, scored tokens, whether the response was cut."""

    logprob: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def sequence_logprobs(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    responses: list[str],
    *,
    max_length: int | None = None,
    ended: Sequence[bool] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    description: str = "log-probabilities",
) -> SequenceLogprobs:
    """Score responses under a model in evaluation mode.

    Args:
        model: causal language model.
        tokenizer: its tokenizer.
        prompts: stored prompts, one per response.
        responses: texts.
        max_length: context in tokens; longer responses are cut and flagged; None cuts nothing.
        ended: per response whether it was ended, and so scored with its end token; None says all were.
        batch_tokens: padded tokens per batch.
        description: what the progress bar says.
    """
    rows = encode(tokenizer, prompts, responses, max_length, ended)
    return SequenceLogprobs(
        row_logprobs(model, rows, batch_tokens=batch_tokens, description=description),
        rows.response_lengths,
        rows.truncated,
    )


def row_logprobs(
    model: "PreTrainedModel",
    rows: EncodedRows,
    *,
    batch_tokens: int = BATCH_TOKENS,
    sharing: bool | None = None,
    description: str = "log-probabilities",
) -> NDArray[np.float64]:
    """Log pi of encoded rows, (n,); identical rows are computed once, prompts once where possible.

    Args:
        model: causal language model.
        rows: encoded.
        batch_tokens: padded tokens per batch.
        sharing: whether responses share their prompt; None asks the model.
        description: what the progress bar says.
    """
    import torch

    result = np.empty(len(rows.ids))
    was_training = model.training
    model.eval()
    if sharing is None:
        sharing = sharing_allowed(model, rows)
    hidden = hidden_size(model) if sharing else None
    pieces = split_by_prompt(rows, np.unique(rows.representatives), hidden)
    lengths = np.array([piece_length(rows, piece) for piece in pieces])
    device = next(model.parameters()).device
    with torch.inference_mode():
        batches = length_batches(lengths, np.arange(len(pieces)), batch_tokens)
        for batch in track(in_step(model, batches), description):
            chosen = [pieces[i] for i in batch]
            logprob = response_logprobs(model, pack(rows, chosen).to(device))
            result[np.concatenate(chosen)] = logprob.double().cpu().numpy()
    model.train(was_training)
    return result[rows.representatives]


def length_batches(
    lengths: NDArray[np.int64], rows: NDArray[np.int64], batch_tokens: int
) -> list[NDArray[np.int64]]:
    """Rows (n,), longest first by ``lengths`` (N,), cut into batches of at most ``batch_tokens`` padded tokens."""
    order = rows[np.argsort(-lengths[rows], kind="stable")]
    batches, start = [], 0
    while start < len(order):
        size = max(1, batch_tokens // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
