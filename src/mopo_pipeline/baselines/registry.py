"""Rivals by name; what one stands on is imported when it is trained."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters import baselines as parameters
from mopo_pipeline.parameters.base import StrictModel

Params = TypeVar("Params", bound=StrictModel)


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


TUNING, TUNED = "tuning", "tuned_over"
"""Keys beside a rival's hyperparameters: the grid to tune over, and what was found on it."""


def train_rival(
    name: str, setting: Setting, hyperparameters: Mapping[str, Any]
) -> tuple[RivalPolicy, ...]:
    """All points of a rival's front.

    Args:
        name: of ``RIVALS``.
        setting: the ground of all rivals.
        hyperparameters: those that differ from the defaults of the rival's parameter model; with ``tuning``, a
            grid as ``TuningParams`` takes it, the rest is chosen by validation labels first.

    Raises:
        InputError: there is no such rival or hyperparameter, or the setting lacks what it needs.
    """
    if name not in RIVALS:
        raise InputError(f"there is no rival {name!r}; there are {', '.join(RIVALS)}")
    rival = RIVALS[name]
    module = import_module(f"mopo_pipeline.baselines.{rival.module}")

    def train(given: Mapping[str, Any]) -> tuple[RivalPolicy, ...]:
        params = _validated(name, rival.hyperparameters, given)
        try:
            points: tuple[RivalPolicy, ...] = module.train(setting, params)
        except ModuleNotFoundError as error:
            library = str(error.name).split(".")[0]
            raise InputError(
                f"rival {name} needs {library}, which is not installed: pip install 'mopo_pipeline[baselines]'"
            ) from error
        return points

    given = dict(hyperparameters)
    grid = given.pop(TUNING, None)
    if grid is None:
        return train(given)
    from mopo_pipeline.baselines.tuning import tuned

    chosen = tuned(
        setting,
        rival.hyperparameters,
        given,
        _validated(name, parameters.TuningParams, grid),
        train,
    )
    found = chosen.pop(TUNED)
    return tuple(
        replace(point, hyperparameters={**point.hyperparameters, TUNED: found})
        for point in train(chosen)
    )


def _validated(name: str, model: type[Params], given: Mapping[str, Any]) -> Params:
    """Parameters of a rival.

    Raises:
        InputError: the first mistake, and what there is.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        known = ", ".join(model.model_fields)
        raise InputError(f"rival {name}: {where}: {fault['msg']}; it takes {known}") from error
