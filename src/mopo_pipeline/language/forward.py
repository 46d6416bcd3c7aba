"""Log-probabilities of packed rows in one forward pass."""

from typing import TYPE_CHECKING, Any

from mopo_pipeline.language.output_layer import parts_of, stands_apart, token_logprobs
from mopo_pipeline.language.packing import PackedRows
from mopo_pipeline.language.processes import sharded

if TYPE_CHECKING:
    import torch


def response_logprobs(model: Any, packed: PackedRows) -> "torch.Tensor":
    """Log pi of each row of a batch, (rows,), differentiable.

    The output layer sees only the positions that predict a scored token, and those in parts where their logits are many.
    """
    bare = unwrapped(model)
    inputs = packed.inputs(bare.dtype if bare.config._attn_implementation != "sdpa" else None)
    head = bare.get_output_embeddings()

    def logits() -> "torch.Tensor":
        found: torch.Tensor = model(**inputs, use_cache=False).logits
        return found

    parts = parts_of(len(packed.target), int(bare.config.get_text_config().vocab_size))
    if parts > 1 and not sharded(bare) and stands_apart(bare, head, logits):
        chosen = _in_parts(head, logits, packed, parts)
    else:
        chosen = _at_once(head, logits, packed)
    return chosen.new_zeros(packed.scored.shape).masked_scatter(packed.scored, chosen).sum(dim=1)


def token_logits(model: Any, packed: PackedRows) -> "torch.Tensor":
    """The model's logits (n, vocabulary) where each of the scored tokens of a batch is predicted."""
    bare = unwrapped(model)
    inputs = packed.inputs(bare.dtype if bare.config._attn_implementation != "sdpa" else None)

    def logits() -> "torch.Tensor":
        found: torch.Tensor = model(**inputs, use_cache=False).logits
        return found

    return _chosen(bare.get_output_embeddings(), logits, packed)


def _chosen(head: Any, logits: Any, packed: PackedRows) -> "torch.Tensor":
    """What ``logits`` computes, (n, vocabulary), where scored tokens are predicted and nowhere else."""
    keep = head.register_forward_pre_hook(lambda _, args: (args[0].flatten(0, 1)[packed.source],))
    try:
        found: torch.Tensor = logits()
    finally:
        keep.remove()
    return found


def _at_once(head: Any, logits: Any, packed: PackedRows) -> "torch.Tensor":
    """Log-probabilities of the scored tokens (n,), from the model's own logits."""
    import torch

    found = _chosen(head, logits, packed)
    return -torch.nn.functional.cross_entropy(found.float(), packed.target, reduction="none")


def _in_parts(head: Any, logits: Any, packed: PackedRows, parts: int) -> "torch.Tensor":
    """Log-probabilities of the scored tokens (n,), computed where the model calls its output layer, which sees one token."""
    found: list[torch.Tensor] = []

    def instead(_: Any, args: Any) -> Any:
        keep.remove()
        hidden = args[0].flatten(0, 1)[packed.source]
        found.append(token_logprobs(head, hidden, packed.target, parts))
        return (hidden[:1],)

    keep = head.register_forward_pre_hook(instead)
    try:
        logits()
    finally:
        keep.remove()
    return found[0]


def hidden_size(model: Any) -> int:
    """Width of the residual stream."""
    return int(unwrapped(model).config.get_text_config().hidden_size)


def unwrapped(model: Any) -> Any:
    """The model inside what distributes it."""
    while hasattr(model, "module"):
        model = model.module
    return model
