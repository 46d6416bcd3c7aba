"""Rivals by name; what one stands on is imported when it is trained."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from mopo_pipeline.baselines.setting import RivalPolicy, Setting
from mopo_pipeline.errors import InputError
from mopo_pipeline.parameters.baselines import (
    HYPERPARAMETERS,
    TUNING,
    rival_params,
    tuning_params,
)


class Rival(NamedTuple):
    """A rival: its module, whose ``train`` makes its points, and what that needs beside this project's own libraries."""

    module: str
    library: str | None = "trl"


RIVALS: dict[str, Rival] = {
    "scalarised_dpo": Rival("scalarised_dpo"),
    "rewarded_soups": Rival("rewarded_soups"),
    "mod": Rival("mod"),
    "best_of_n": Rival("best_of_n", None),
    "loss_weighted_dpo": Rival("loss_weighted_dpo"),
    "modpo": Rival("modpo"),
    "raco": Rival("raco"),
    "amopo": Rival("amopo"),
    "rewards_in_context": Rival("rewards_in_context", None),
    "lagrangian_grpo": Rival("lagrangian"),
}


def check_rivals(names: Iterable[str]) -> None:
    """Look for the libraries of rivals.

    Raises:
        InputError: one is not installed.
    """
    for name in names:
        library = RIVALS[name].library if name in RIVALS else None
        if library is not None and find_spec(library) is None:
            raise InputError(
                f"rival {name} needs {library}, which is not installed: pip install 'mopo_pipeline[baselines]', "
                "or leave it out of front.methods"
            )


def train_rival(
    name: str, setting: Setting, hyperparameters: Mapping[str, Any]
) -> tuple[RivalPolicy, ...]:
    """All points of a rival's front.

    Args:
        name: of ``RIVALS``.
        setting: the ground of all rivals.
        hyperparameters: those that differ from the defaults of ``rival_params``; with ``tuning``, a grid as
            ``tuning_params`` takes it, the rest is chosen by validation labels.

    Raises:
        InputError: there is no such rival or hyperparameter, or the setting lacks what it needs.
    """
    if name not in RIVALS:
        raise InputError(f"there is no rival {name!r}; there are {', '.join(RIVALS)}")
    check_rivals([name])
    module = import_module(f"mopo_pipeline.baselines.{RIVALS[name].module}")
    rate = setting.fit.learning_rate

    def train(given: Mapping[str, Any]) -> tuple[RivalPolicy, ...]:
        points: tuple[RivalPolicy, ...] = module.train(setting, rival_params(name, given, rate))
        return points

    given = dict(hyperparameters)
    grid = given.pop(TUNING, None)
    if grid is None:
        return train(given)
    from mopo_pipeline.baselines.tuning import tuned

    return tuned(setting, HYPERPARAMETERS[name], given, tuning_params(name, grid, rate), train)
