"""RACO: K losses on the same pair, their gradients combined so that none is worked against, coefficients clipped."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.conflict import coefficients
from mopo_pipeline.baselines.own_loss import LABEL_WEIGHTS, SIGNS, all_pairs, trained_with
from mopo_pipeline.baselines.scalarised_dpo import prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept_by_training
from mopo_pipeline.baselines.weights import Weights
from mopo_pipeline.parameters.baselines import RacoParams

if TYPE_CHECKING:
    import torch

    from mopo_pipeline.baselines.pair_trainer import PairBatch

NAME = "raco"


def train(setting: Setting, params: RacoParams) -> tuple[RivalPolicy, ...]:
    """A training for each weights."""
    data = all_pairs(prepare(setting))

    def one(weights: Weights) -> list[Training]:
        told: dict[str, Any] = {
            "beta": params.beta,
            "conflict": params.conflict,
            "clip": params.clip,
        }
        loss = partial(averse_loss, weights=weights, **told)
        identity = told | {"weights": weights}
        return [trained_with(setting, NAME, data, loss, params.learning_rate, identity)]

    return swept_by_training(NAME, setting, params, one)


def averse_loss(
    batch: "PairBatch",
    parameters: "list[torch.Tensor]",
    *,
    weights: Weights,
    beta: float,
    conflict: float,
    clip: bool,
) -> "torch.Tensor":
    """A scalar () whose gradient is RACO's update: sum_k a_k l_k with the coefficients a held fixed."""
    from mopo_pipeline.baselines.losses import implicit_margin, label_losses

    margin = implicit_margin(beta, batch.first, batch.second, batch.reference_gap)
    losses = label_losses(margin, batch.extra[SIGNS], 0.0) * batch.extra[LABEL_WEIGHTS]
    of_objectives = losses.mean(dim=0)
    fixed = coefficients(
        gradient_products(of_objectives, parameters),
        np.asarray(weights),
        conflict=conflict,
        clip=clip,
    )
    return (of_objectives * of_objectives.new_tensor(fixed)).sum()


def gradient_products(losses: "torch.Tensor", parameters: "list[torch.Tensor]") -> Array:
    """Inner products (K, K) of the gradients of K losses (K,) by the parameters."""
    import torch

    rows = []
    for loss in losses:
        parts = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([part.flatten() for part in parts]).double())
    stacked = torch.stack(rows)
    return np.asarray((stacked @ stacked.T).cpu().numpy(), dtype=np.float64)
