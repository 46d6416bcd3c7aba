"""A rival's own learning rate and temperature: the best of a small grid by the labels of the validation split."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.baselines.policies import FolderPolicy
from mopo_pipeline.baselines.setting import RivalPolicy, Setting, total_budget
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import Comparisons
from mopo_pipeline.mopo.labelled import labelled_values
from mopo_pipeline.parameters.base import StrictModel
from mopo_pipeline.parameters.baselines import SweptParams, TuningParams
from mopo_pipeline.policies.valued import Policy
from mopo_pipeline.tables import comparison_weights

Train = Callable[[Mapping[str, Any]], tuple[RivalPolicy, ...]]


def tuned(
    setting: Setting,
    model: type[StrictModel],
    given: Mapping[str, Any],
    grid: TuningParams,
    train: Train,
) -> dict[str, Any]:
    """The hyperparameters of a rival after one training at even weights for each point of the grid.

    The value is the mean over objectives of what validation labels say of the policy; a policy that
    diverged has none. What the rival does not take, or was given, is not varied.

    Args:
        setting: the ground of all rivals.
        model: the rival's parameter model.
        given: its hyperparameters.
        grid: what is tried.
        train: trains the rival with hyperparameters.

    Raises:
        InputError: the rival is not swept over weights, the validation split has no label, or every training
            of the grid diverged.
    """
    if not issubclass(model, SweptParams):
        raise InputError("only rivals that are swept over weights can be tuned: remove tuning")
    choices = {"learning_rate": grid.learning_rates, "beta": grid.betas}
    varied = {n: c for n, c in choices.items() if n in model.model_fields and n not in given}
    k = len(setting.objectives)
    even = {"weights": (tuple(1.0 / k for _ in range(k)),)}
    tried = [dict(zip(varied, one, strict=True)) for one in product(*varied.values()) if varied]
    points = [train({**given, **one, **even})[0] for one in tried]
    values = [validation_value(setting, p.policy) if p.policy else -np.inf for p in points]
    if tried and not np.isfinite(values).any():
        raise InputError(f"every training of the grid failed; the first: {points[0].reason}")
    best = tried[int(np.argmax(values))] if tried else {}
    cost = total_budget(points)
    told = [
        {**one, "value": float(v) if np.isfinite(v) else None}
        for one, v in zip(tried, values, strict=True)
    ]
    return {**given, **best, "tuned_over": {"grid": told, "sequences": cost.sequences}}


def validation_value(setting: Setting, policy: Policy) -> float:
    """Mean over objectives of a policy's win rate by the labels of the validation split.

    Raises:
        InputError: there is none.
    """
    rows = setting.responses.loc[setting.responses["split"] == "validation"].reset_index(drop=True)
    pairs = setting.comparisons.loc[setting.comparisons["split"] == "validation"]
    if pairs.empty:
        raise InputError(
            "rivals are tuned by validation labels, and there is none: raise ingest.split.validation"
        )
    place = {name: i for i, name in enumerate(rows["response_id"])}
    names = list(setting.objectives)
    compared = Comparisons(
        first=pairs["response_a"].map(place).to_numpy(dtype=np.int64),
        second=pairs["response_b"].map(place).to_numpy(dtype=np.int64),
        labels=pairs[names].to_numpy(dtype=np.float64),
        weights=comparison_weights(pairs, names),
    )
    prompts, texts = rows["prompt"].tolist(), rows["response"].tolist()
    reference = FolderPolicy(setting.reference).answer_logprobs(prompts, texts)
    gap: Array = policy.answer_logprobs(prompts, texts) - reference
    of = np.unique(rows["prompt_id"].to_numpy(dtype=str), return_inverse=True)[1]
    return float(labelled_values(compared, gap, of).values.mean())
