"""Trainings on all pairs with a loss of the rival's own, in place of DPO's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mopo_pipeline.baselines.scalarised_dpo import Ground
from mopo_pipeline.baselines.setting import Setting, Training

if TYPE_CHECKING:
    from mopo_pipeline.baselines.pair_trainer import PairData, PairLoss

SIGNS, LABEL_WEIGHTS = "signs", "label_weights"
"""Columns (M, K) of every pair: which response wins, and what the label weighs."""


def all_pairs(ground: Ground) -> "PairData":
    """Every pair that a label decides, with its K labels for the loss; a tie weighs nothing, as in the published codes."""
    from mopo_pipeline.baselines.pair_trainer import PairData

    pairs = ground.pairs
    weights = np.where(pairs.signs == 0.0, 0.0, pairs.weights)
    kept = np.flatnonzero(weights.any(axis=1))
    return PairData(
        pairs.rows,
        ground.reference,
        pairs.first[kept],
        pairs.second[kept],
        {SIGNS: pairs.signs[kept], LABEL_WEIGHTS: weights[kept]},
    )


def trained_with(
    setting: Setting,
    name: str,
    data: "PairData",
    loss: "PairLoss",
    learning_rate: float,
    identity: Mapping[str, Any],
) -> Training:
    """One training.

    Args:
        setting: the ground of all rivals.
        name: of the training's directory and bar.
        data: pairs.
        loss: of a batch.
        learning_rate: at its peak.
        identity: everything else that decides the loss, JSON-ready.
    """
    from mopo_pipeline.baselines.pair_trainer import PairFit, fit_pairs
    from mopo_pipeline.baselines.trained import stored

    own = PairFit(name, 1.0, learning_rate, loss)
    return stored(
        setting,
        name,
        f"mopo_pipeline.baselines.{name}",
        {"learning_rate": learning_rate, **identity},
        data.arrays,
        lambda target: fit_pairs(setting, data, own, target),
    )
