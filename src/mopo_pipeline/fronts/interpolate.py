"""Policies on the straight line between two that were trained."""

import shutil
from pathlib import Path
from typing import Any

from mopo_pipeline.errors import InputError


def between(first: Path, last: Path, share: float, target: Path) -> None:
    """Write the policy at a share of the way from one policy's weights to another's.

    Adapters are folded into their base first: the mean of two adapters' factors is not the mean of what they add.

    Args:
        first: directory of the policy at share 0.
        last: of the one at share 1.
        share: in [0, 1].
        target: directory to write; what lay there is replaced.

    Raises:
        InputError: the two have other weights.
    """
    import torch

    model, tokenizer = _folded(first)
    other, _ = _folded(last)
    ends: dict[str, Any] = dict(other.named_parameters())
    with torch.no_grad():
        named: dict[str, Any] = dict(model.named_parameters())
        for name, weight in named.items():
            if name not in ends or ends[name].shape != weight.shape:
                raise InputError(f"{last} has no {name} of shape {tuple(weight.shape)}, as {first}")
            weight.lerp_(ends[name], share)
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _folded(directory: Path) -> tuple[Any, Any]:
    from mopo_pipeline.language.loading import load_model

    model, tokenizer = load_model(directory, device="cpu")
    adapted: Any = model
    return adapted.merge_and_unload() if hasattr(model, "peft_config") else model, tokenizer
