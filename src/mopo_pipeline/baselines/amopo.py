"""AMoPO with static weights: K reference-free losses per token on the same pair."""

from functools import partial
from typing import TYPE_CHECKING, Any

from mopo_pipeline.baselines.own_loss import LABEL_WEIGHTS, SIGNS, all_pairs, trained_with
from mopo_pipeline.baselines.scalarised_dpo import prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept_by_training
from mopo_pipeline.baselines.weights import Weights
from mopo_pipeline.parameters.baselines import AmopoParams

if TYPE_CHECKING:
    import torch

    from mopo_pipeline.baselines.pair_trainer import PairBatch

NAME = "amopo"


def train(setting: Setting, params: AmopoParams) -> tuple[RivalPolicy, ...]:
    """A training for each weights."""
    data = all_pairs(prepare(setting))

    def one(weights: Weights) -> list[Training]:
        told: dict[str, Any] = {"weights": weights, "beta": params.beta, "gap": params.margin}
        loss = partial(per_token_loss, **told)
        return [trained_with(setting, NAME, data, loss, params.learning_rate, told)]

    return swept_by_training(NAME, setting, params, one)


def per_token_loss(
    batch: "PairBatch", _: "list[torch.Tensor]", *, weights: Weights, beta: float, gap: float
) -> "torch.Tensor":
    """Mean over pairs of sum_k w_k l_k, l_k SimPO's loss by objective k's label, a scalar ()."""
    from mopo_pipeline.baselines.losses import label_losses, per_token_margin, weighted_sum

    margin = per_token_margin(
        beta, batch.first, batch.second, batch.first_tokens, batch.second_tokens
    )
    losses = label_losses(margin, batch.extra[SIGNS], gap)
    return weighted_sum(losses, losses.new_tensor(weights), batch.extra[LABEL_WEIGHTS])
