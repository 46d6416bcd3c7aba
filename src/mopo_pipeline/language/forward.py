"""Log-probabilities of packed rows in one forward pass."""

from typing import TYPE_CHECKING, Any

from mopo_pipeline.language.packing import PackedRows

if TYPE_CHECKING:
    import torch


def response_logprobs(model: Any, packed: PackedRows) -> "torch.Tensor":
    """Log pi of each row of a batch, (rows,), differentiable.

    The output layer sees only the positions that predict a scored token.
    """
    import torch

    bare = unwrapped(model)
    head = bare.get_output_embeddings()
    keep = head.register_forward_pre_hook(lambda _, args: (args[0].flatten(0, 1)[packed.source],))
    try:
        eager = bare.config._attn_implementation != "sdpa"
        logits = model(**packed.inputs(bare.dtype if eager else None), use_cache=False).logits
    finally:
        keep.remove()
    chosen = torch.nn.functional.cross_entropy(logits.float(), packed.target, reduction="none")
    return -chosen.new_zeros(packed.scored.shape).masked_scatter(packed.scored, chosen).sum(dim=1)


def hidden_size(model: Any) -> int:
    """Width of the residual stream."""
    return int(unwrapped(model).config.get_text_config().hidden_size)


def unwrapped(model: Any) -> Any:
    """The model inside what distributes it."""
    while hasattr(model, "module"):
        model = model.module
    return model
