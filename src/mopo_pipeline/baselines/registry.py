"""Rivals by name; what one stands on is imported when it is trained."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from pydantic import ValidationError

from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters import baselines as parameters
from mopo_pipeline.parameters.base import StrictModel


class Rival(NamedTuple):
    """A rival: its module, whose ``train`` makes its points, and its hyperparameters."""

    module: str
    hyperparameters: type[StrictModel]


RIVALS: dict[str, Rival] = {
    "scalarised_dpo": Rival("scalarised_dpo", parameters.PairRivalParams),
    "rewarded_soups": Rival("rewarded_soups", parameters.SoupParams),
    "mod": Rival("mod", parameters.PairRivalParams),
    "best_of_n": Rival("best_of_n", parameters.BestOfNParams),
    "loss_weighted_dpo": Rival("loss_weighted_dpo", parameters.PairRivalParams),
    "modpo": Rival("modpo", parameters.PairRivalParams),
    "raco": Rival("raco", parameters.RacoParams),
    "amopo": Rival("amopo", parameters.AmopoParams),
    "rewards_in_context": Rival("rewards_in_context", parameters.InContextParams),
    "lagrangian_grpo": Rival("lagrangian", parameters.LagrangianParams),
}


def train_rival(
    name: str, setting: Setting, hyperparameters: Mapping[str, Any]
) -> tuple[RivalPolicy, ...]:
    """All points of a rival's front.

    Args:
        name: of ``RIVALS``.
        setting: the ground of all rivals.
        hyperparameters: those that differ from the defaults of the rival's parameter model.

    Raises:
        InputError: there is no such rival or hyperparameter, or the setting lacks what it needs.
    """
    if name not in RIVALS:
        raise InputError(f"there is no rival {name!r}; there are {', '.join(RIVALS)}")
    rival = RIVALS[name]
    try:
        params = rival.hyperparameters.model_validate(dict(hyperparameters))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        known = ", ".join(rival.hyperparameters.model_fields)
        raise InputError(f"rival {name}: {where}: {fault['msg']}; it takes {known}") from error
    module = import_module(f"mopo_pipeline.baselines.{rival.module}")
    points: tuple[RivalPolicy, ...] = module.train(setting, params)
    return points
