"""log pi(y | x): summed over the response's tokens, in length-sorted batches."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.language.processes import in_step
from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.progress import track

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SequenceLogprobs(NamedTuple):
    """Per row: log-probability in nats, scored tokens, whether the response was cut."""

    logprob: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def response_logprobs(model: "PreTrainedModel", batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """Log pi of each row of a batch, (rows,), differentiable.

    Logits are taken only from the first scored position on: what the prompt predicts is never
    computed.
    """
    import torch

    ids, scored = batch["input_ids"], batch["scored"]
    first = int(scored.long().argmax(dim=1).min()) - 1
    kept = ids.shape[1] - first
    logits = model(
        input_ids=ids, attention_mask=batch["attention_mask"], logits_to_keep=kept, use_cache=False
    ).logits[:, -kept:-1]
    targets, mask = ids[:, first + 1 :], scored[:, first + 1 :]
    chosen = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), targets, reduction="none"
    )
    return -(chosen * mask).sum(dim=1)


def sequence_logprobs(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    responses: list[str],
    *,
    max_length: int,
    batch_tokens: int = 8192,
    description: str = "log-probabilities",
) -> SequenceLogprobs:
    """Score responses under a model in evaluation mode.

    Args:
        model: causal language model.
        tokenizer: its tokenizer.
        prompts: stored prompts, one per response.
        responses: texts.
        max_length: context in tokens; longer responses are cut and flagged.
        batch_tokens: padded tokens per batch.
        description: what the progress bar says.
    """
    rows = encode(tokenizer, prompts, responses, max_length)
    return SequenceLogprobs(
        row_logprobs(model, rows, batch_tokens=batch_tokens, description=description),
        rows.response_lengths,
        rows.truncated,
    )


def row_logprobs(
    model: "PreTrainedModel",
    rows: EncodedRows,
    *,
    batch_tokens: int = 8192,
    description: str = "log-probabilities",
) -> NDArray[np.float64]:
    """Log pi of encoded rows, (n,); identical rows are computed once."""
    import torch

    keys = [(int(p), tuple(ids)) for p, ids in zip(rows.prompt_lengths, rows.ids, strict=True)]
    unique: dict[tuple[int, tuple[int, ...]], int] = {}
    for i, key in enumerate(keys):
        unique.setdefault(key, i)
    result: dict[int, float] = {}
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        batches = length_batches(rows.lengths, np.array(list(unique.values())), batch_tokens)
        for batch in track(in_step(model, batches), description):
            tensors = {k: v.to(device) for k, v in rows.batch(batch).items()}
            result |= dict(
                zip(
                    batch.tolist(), response_logprobs(model, tensors).double().tolist(), strict=True
                )
            )
    model.train(was_training)
    return np.array([result[unique[key]] for key in keys], dtype=np.float64)


def length_batches(
    lengths: NDArray[np.int64], rows: NDArray[np.int64], batch_tokens: int
) -> list[NDArray[np.int64]]:
    """Cut rows, longest first, into batches of at most ``batch_tokens`` padded tokens."""
    order = rows[np.argsort(-lengths[rows], kind="stable")]
    batches, start = [], 0
    while start < len(order):
        size = max(1, batch_tokens // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
