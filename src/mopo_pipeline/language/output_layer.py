"""log pi of tokens from the last hidden states, a part of them at a time where all their logits would fill the memory.

Logits of n tokens are n times the vocabulary, three times over in training. In parts, each computed again in the backward
pass, only those of one part are ever there.
"""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch

MOST = 2**27
"""Logits up to which all are computed at once: half a gigabyte in single precision."""

PART = 2**25
"""Logits of one part where there are more."""

_apart: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()
"""Models seen, and whether their logits are what the output layer gives and no more."""


def parts_of(tokens: int, vocabulary: int) -> int:
    """In how many parts log-probabilities of tokens are computed; 1 is at once.

    >>> parts_of(2048, 49152), parts_of(2048, 128256)
    (1, 8)
    """
    return 1 if tokens * vocabulary <= MOST else -(-tokens * vocabulary // PART)


def token_logprobs(
    head: Any, hidden: "torch.Tensor", target: "torch.Tensor", parts: int
) -> "torch.Tensor":
    """Log-probabilities (n,) of tokens ``target`` (n,) from hidden states (n, width), in parts; differentiable.

    Args:
        head: output layer, from hidden states to logits.
        hidden: behind the last layer, where each token is predicted.
        target: ids.
        parts: > 0.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    def of_part(states: "torch.Tensor", ids: "torch.Tensor") -> "torch.Tensor":
        logits = head(states).float()
        return -torch.nn.functional.cross_entropy(logits, ids, reduction="none")

    found = []
    for states, ids in zip(hidden.chunk(parts), target.chunk(parts), strict=True):
        again = torch.is_grad_enabled() and parts > 1
        found.append(
            checkpoint(of_part, states, ids, use_reentrant=False) if again else of_part(states, ids)
        )
    return torch.cat(found)


def stands_apart(model: Any, head: Any, run: Any) -> bool:
    """Whether a model's logits are those of its output layer, neither scaled, capped nor mixed afterwards.

    Tried once per model, without dropout, with states so large that a cap shows.

    Args:
        model: causal language model.
        head: its output layer.
        run: runs the model over a batch; its logits.
    """
    if model in _apart:
        return _apart[model]
    import torch

    seen: list[torch.Tensor] = []

    def one(_: Any, given: Any) -> Any:
        state = given[0].flatten(0, -2)[-1:]
        hook.remove()
        found = head(state).abs().max().clamp(min=1e-6)
        seen.append(head(state * (100.0 / found)))
        return (state * (100.0 / found),)

    hook, was_training = head.register_forward_pre_hook(one), model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = run().flatten(0, -2)
    finally:
        hook.remove()
        model.train(was_training)
    same = torch.allclose(logits.float(), seen[0].float(), rtol=1e-3, atol=1e-3)
    _apart[model] = same
    return same
