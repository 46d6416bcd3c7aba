"""KL of a policy from a reference along answers the policy drew: exact over the vocabulary at every token.

    KL(pi || pi_ref) = E_{y ~ pi} sum_t KL(pi(. | x, y_<t) || pi_ref(. | x, y_<t))

Each term is at least 0, so a mean over draws is too, and it varies far less than the gain log pi/pi_ref of the drawn tokens
alone, whose expectation is the same (its Rao-Blackwellised form).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.language.forward import hidden_size, token_logits
from mopo_pipeline.language.logprobs import length_batches
from mopo_pipeline.language.packing import PackedRows, pack, piece_length, split_by_prompt
from mopo_pipeline.language.prompt_sharing import sharing_allowed
from mopo_pipeline.language.tokens import EncodedRows
from mopo_pipeline.parameters.evaluate import BATCH_TOKENS
from mopo_pipeline.progress import track

if TYPE_CHECKING:
    import torch

MOST = 2**26
"""Logits of all models held at once: a quarter of a gigabyte in single precision."""


class Way(NamedTuple):
    """One way a policy is asked: the share of its answers given that way, and the rows, what is asked before the answer."""

    share: float
    rows: EncodedRows


def answer_divergences(
    model: Any,
    ways: Sequence[Way],
    reference: Any,
    rows: EncodedRows,
    *,
    batch_tokens: int = BATCH_TOKENS,
    description: str = "divergence from the reference",
) -> NDArray[np.float64]:
    """Sum over each answer's tokens of the KL between what both models say next, (n,), nats.

    An answer that was cut counts the tokens it has: the mean over draws is the KL of answers cut as they are. Tokens that one
    model alone has, such as control words, are left out of both distributions.

    Args:
        model: the policy's causal language model.
        ways: how it is asked; with several, for each answer one is drawn by its share, and the policy is their mixture.
        reference: causal language model.
        rows: n answers behind what the reference is asked, in its tokens.
        batch_tokens: padded tokens per batch, fewer where the vocabulary is large.
        description: what the progress bar says.
    """
    import torch

    asked = [answering(way.rows, rows) for way in ways]
    models = [*((model, each) for each in asked), (reference, rows)]
    hidden = hidden_size(model) if all(sharing_allowed(m, r) for m, r in models) else None
    pieces = split_by_prompt(rows, np.unique(rows.representatives), hidden)
    lengths = np.array([max(piece_length(r, piece) for _, r in models) for piece in pieces])
    vocabulary = int(reference.config.get_text_config().vocab_size)
    size = max(1, min(batch_tokens, MOST // (vocabulary * len(models))))
    shares = torch.tensor([way.share for way in ways]).log()
    found = np.empty(len(rows.ids))
    with torch.inference_mode():
        for batch in track(length_batches(lengths, np.arange(len(pieces)), size), description):
            chosen = [pieces[i] for i in batch]
            packed = [(m, pack(r, chosen).to(next(m.parameters()).device)) for m, r in models]
            *own, first = (token_logits(m, p).float() for m, p in packed)
            gap = _token_divergences(own, first, shares.to(first.device), packed[-1][1])
            found[np.concatenate(chosen)] = _by_row(gap.double(), packed[-1][1]).cpu().numpy()
    return found[rows.representatives]


def answering(asked: EncodedRows, rows: EncodedRows) -> EncodedRows:
    """The answers of ``rows``, token by token, behind what is asked in ``asked``, row by row."""
    ids = [
        [*own[:head], *other[start:]]
        for own, head, other, start in zip(
            asked.ids, asked.prompt_lengths, rows.ids, rows.prompt_lengths, strict=True
        )
    ]
    return replace(asked, ids=ids, prompts=rows.prompts)


def _token_divergences(
    own: list["torch.Tensor"], first: "torch.Tensor", shares: "torch.Tensor", packed: PackedRows
) -> "torch.Tensor":
    """KL (t,) of what is said next, from logits (t, vocabulary) of every way and of the reference.

    Behind the tokens already said a way counts as much as they speak for it: its share times their probability.
    """
    import torch

    width = min(first.shape[1], own[0].shape[1])
    each = [logits[:, :width].log_softmax(-1) for logits in own]
    other, mixed = first[:, :width].log_softmax(-1), each[0]
    if len(each) > 1:
        spoken = []
        for way in each:
            said = _laid_out(way.gather(1, packed.target[:, None])[:, 0], packed)
            spoken.append((said.cumsum(1) - said)[packed.scored])
        log_weights = (shares[:, None] + torch.stack(spoken)).log_softmax(0)
        mixed = torch.logsumexp(torch.stack(each) + log_weights[:, :, None], dim=0)
    mass = mixed.exp()
    terms = torch.where(mass > 0.0, mass * (mixed - other), 0.0)
    return terms.sum(dim=1).clamp_min(0.0)


def _laid_out(values: "torch.Tensor", packed: PackedRows) -> "torch.Tensor":
    """Values of scored tokens (t,) row by row, (rows, longest response), 0 behind an answer's end."""
    return values.new_zeros(packed.scored.shape).masked_scatter(packed.scored, values)


def _by_row(values: "torch.Tensor", packed: PackedRows) -> "torch.Tensor":
    """Sums (rows,) of values of scored tokens (t,)."""
    return _laid_out(values, packed).sum(dim=1)
