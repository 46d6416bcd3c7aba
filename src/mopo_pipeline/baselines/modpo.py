"""MODPO: DPO on one objective's labels, the implicit rewards of the others' experts as a margin."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.own_loss import trained_with
from mopo_pipeline.baselines.scalarised_dpo import Ground, experts, labelled_by, prepare
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept_by_training
from mopo_pipeline.baselines.weights import Weights, vertex
from mopo_pipeline.parameters.baselines import PairRivalParams

if TYPE_CHECKING:
    import torch

    from mopo_pipeline.baselines.pair_trainer import PairBatch

NAME = "modpo"
OTHERS = "others"
"""Column (M,): the weighted margins of the other objectives' experts."""


def train(setting: Setting, params: PairRivalParams) -> tuple[RivalPolicy, ...]:
    """K experts, trained once, and a training for each weights."""
    ground = prepare(setting)
    trained = experts(setting, ground, params)
    rewards = implicit_rewards(ground, trained, params.beta)

    def one(weights: Weights) -> list[Training]:
        if rewards is None:
            return trained
        return [*trained, modpo(setting, ground, rewards, weights, params)]

    return swept_by_training(NAME, setting, params, one)


def implicit_rewards(ground: Ground, trained: Sequence[Training], beta: float) -> Array | None:
    """Beta log pi_k/pi_ref of every row under every expert, (K, n), nats; None where an expert failed."""
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs

    folders = [training.folder for training in trained if training.folder is not None]
    if len(folders) < len(trained):
        return None
    said = [
        row_logprobs(load_model(folder)[0], ground.pairs.rows, description="rows under an expert")
        for folder in folders
    ]
    return beta * (np.stack(said) - ground.reference)


def modpo(
    setting: Setting, ground: Ground, rewards: Array, weights: Weights, params: PairRivalParams
) -> Training:
    """One training on the labels of the objective that weighs most, rewards (K, n) of the others its margin."""
    live = int(np.argmax(weights))
    data = labelled_by(ground, vertex(live, len(weights)))
    others = np.array([0.0 if k == live else w for k, w in enumerate(weights)])
    gaps = others @ (rewards[:, data.first] - rewards[:, data.second])
    told: dict[str, Any] = {"weight": weights[live], "beta": params.beta}
    return trained_with(
        setting,
        NAME,
        replace(data, extra={OTHERS: gaps}),
        partial(margin_loss, **told),
        params.learning_rate,
        told,
    )


def margin_loss(
    batch: "PairBatch", _: "list[torch.Tensor]", *, weight: float, beta: float
) -> "torch.Tensor":
    """Mean over pairs of -log sigma((own margin - the others')/weight), a scalar ()."""
    from torch.nn.functional import logsigmoid

    from mopo_pipeline.baselines.losses import implicit_margin, modpo_margin

    own = implicit_margin(beta, batch.first, batch.second, batch.reference_gap)
    return -logsigmoid(modpo_margin(own, batch.extra[OTHERS], weight)).mean()
