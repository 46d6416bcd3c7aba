"""DPO on pairs labelled by the weighted sum of their labels: what most people do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.pairs import Pairs, preferred, training_pairs
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, Training
from mopo_pipeline.baselines.sweep import swept
from mopo_pipeline.baselines.weights import Weights, vertex
from mopo_pipeline.parameters.baselines import PairRivalParams
from mopo_pipeline.policies.valued import Budget

if TYPE_CHECKING:
    from mopo_pipeline.baselines.pair_trainer import PairData

CODE = "mopo_pipeline.baselines.pair_trainer"


@dataclass(frozen=True)
class Ground:
    """What all trainings on pairs share: the pairs, and (n,) log pi_ref of their rows."""

    pairs: Pairs
    reference: Array


def prepare(setting: Setting) -> Ground:
    """Encode the pairs and score their rows under the reference, once for a whole sweep."""
    from mopo_pipeline.language.loading import load_model
    from mopo_pipeline.language.logprobs import row_logprobs

    model, tokenizer = load_model(setting.reference)
    pairs = training_pairs(setting, tokenizer)
    return Ground(pairs, row_logprobs(model, pairs.rows, description="reference of the pairs"))


def train(setting: Setting, params: PairRivalParams) -> tuple[RivalPolicy, ...]:
    """A DPO training for each weights."""
    ground = prepare(setting)
    return swept(
        "scalarised_dpo",
        "trained",
        setting,
        params,
        lambda weights: [scalarised(setting, ground, weights, params.beta, params.learning_rate)],
        lambda _, folders: (FolderPolicy(folders[0]), Budget()),
    )


def scalarised(
    setting: Setting, ground: Ground, weights: Weights, beta: float, learning_rate: float
) -> Training:
    """DPO on the pairs that the weighted sum of labels decides; all weight on one objective is its expert."""
    from mopo_pipeline.baselines.pair_trainer import PairFit, fit_pairs
    from mopo_pipeline.baselines.trained import stored

    data = labelled_by(ground, weights)
    identity = {"loss": "dpo", "beta": beta, "learning_rate": learning_rate}
    return stored(
        setting,
        "dpo",
        CODE,
        identity,
        data.arrays,
        lambda target: fit_pairs(setting, data, PairFit("dpo", beta, learning_rate, None), target),
    )


def labelled_by(ground: Ground, weights: Weights) -> "PairData":
    """The pairs that the weighted sum of labels decides, the preferred response first."""
    from mopo_pipeline.baselines.pair_trainer import PairData

    pairs = ground.pairs
    decided, side = preferred(pairs.signs, weights)
    first, second = pairs.first[decided], pairs.second[decided]
    won = side > 0
    chosen, rejected = np.where(won, first, second), np.where(won, second, first)
    return PairData(pairs.rows, ground.reference, chosen, rejected, {})


def experts(setting: Setting, ground: Ground, params: PairRivalParams) -> list[Training]:
    """A DPO policy for each objective alone."""
    k = len(setting.objectives)
    return [
        scalarised(setting, ground, vertex(i, k), params.beta, params.learning_rate)
        for i in range(k)
    ]
