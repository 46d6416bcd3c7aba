"""Rewarded soups: one DPO expert per objective, their weights averaged."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mopo_pipeline.baselines.policies import FolderPolicy, whole_model
from mopo_pipeline.baselines.scalarised_dpo import experts, prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.baselines.sweep import swept
from mopo_pipeline.baselines.weights import Weights, point_name
from mopo_pipeline.errors import InputError
from mopo_pipeline.language.sealed import damage, seal
from mopo_pipeline.parameters.baselines import SoupParams
from mopo_pipeline.policies.valued import Budget, Policy

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]


def train(setting: Setting, params: SoupParams) -> tuple[RivalPolicy, ...]:
    """K experts, trained once, averaged by each weights.

    Raises:
        InputError: factors are to be averaged where none are trained.
    """
    if params.merge == "factors" and setting.lora is None:
        raise InputError(
            "rewarded soups average low-rank factors only where adapters are trained: set lora, or merge to weights"
        )
    trained = experts(setting, prepare(setting), params)
    merge = averaged_factors if params.merge == "factors" else averaged_weights
    name = "-".join(training.key.removeprefix("dpo-") for training in trained)

    def soup(weights: Weights, folders: list[Path]) -> tuple[Policy, Budget]:
        target = setting.work_dir / f"soup-{params.merge}-{name}" / point_name(weights)
        start = time.perf_counter()
        if damage(target) is not None:
            merge(folders, weights, target)
            seal(target)
        return FolderPolicy(target), Budget(seconds=time.perf_counter() - start)

    return swept("rewarded_soups", "interpolated", setting, params, lambda _: trained, soup)


def averaged_weights(folders: Sequence[Path], weights: Weights, target: Path) -> None:
    """Average whole weights, adapters folded into their base first: linear in what training changed."""
    model, tokenizer = whole_model(folders[0])
    states = [model.state_dict(), *(whole_model(folder)[0].state_dict() for folder in folders[1:])]
    model.load_state_dict(_average(states, weights))
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def averaged_factors(folders: Sequence[Path], weights: Weights, target: Path) -> None:
    """Average the factors A and B of the adapters apart; their products have cross terms."""
    from safetensors.torch import load_file, save_file

    file = "adapter_model.safetensors"
    shutil.copytree(folders[0], target, dirs_exist_ok=True)
    save_file(
        _average([load_file(folder / file) for folder in folders], weights),
        target / file,
        metadata={"format": "pt"},
    )


def _average(states: Sequence[State], weights: Weights) -> State:
    """Sum of w_k state_k, key by key; integers, alike in all, as the first has them."""
    return {
        name: _mean([state[name] for state in states], weights)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def _mean(tensors: Sequence["torch.Tensor"], weights: Weights) -> "torch.Tensor":
    """Weighted sum of tensors (..., n) of one shape."""
    total = weights[0] * tensors[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + weight * tensor
    return total.contiguous()
