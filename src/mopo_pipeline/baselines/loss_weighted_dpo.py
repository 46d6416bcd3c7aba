"""Loss-weighted DPO: K losses on the same pair, weighted."""

from functools import partial
from typing import TYPE_CHECKING, Any

from mopo_pipeline.baselines.own_loss import LABEL_WEIGHTS, SIGNS, all_pairs, trained_with
from mopo_pipeline.baselines.scalarised_dpo import prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept_by_training
from mopo_pipeline.baselines.weights import Weights
from mopo_pipeline.parameters.baselines import PairRivalParams

if TYPE_CHECKING:
    import torch

    from mopo_pipeline.baselines.pair_trainer import PairBatch

NAME = "loss_weighted_dpo"


def train(setting: Setting, params: PairRivalParams) -> tuple[RivalPolicy, ...]:
    """A training for each weights."""
    data = all_pairs(prepare(setting))

    def one(weights: Weights) -> list[Training]:
        told: dict[str, Any] = {"weights": weights, "beta": params.beta}
        loss = partial(weighted_loss, **told)
        return [trained_with(setting, NAME, data, loss, params.learning_rate, told)]

    return swept_by_training(NAME, setting, params, one)


def weighted_loss(
    batch: "PairBatch", _: "list[torch.Tensor]", *, weights: Weights, beta: float
) -> "torch.Tensor":
    """Mean over pairs of sum_k w_k l_k, l_k DPO's loss by objective k's label, a scalar ()."""
    from mopo_pipeline.baselines.losses import implicit_margin, label_losses, weighted_sum

    margin = implicit_margin(beta, batch.first, batch.second, batch.reference_gap)
    losses = label_losses(margin, batch.extra[SIGNS], 0.0)
    return weighted_sum(losses, losses.new_tensor(weights), batch.extra[LABEL_WEIGHTS])
