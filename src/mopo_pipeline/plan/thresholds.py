"""Thresholds as win rates, and what is told of those out of reach."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.mopo import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.parameters.base import ObjectiveParams, Position, Threshold
from mopo_pipeline.parameters.plan import PlanParams

AS_THE_DATA = 0.5
"""Win rate of the data's own answers against each other."""

EASY = 0.9
"""Share of an attainable range that is proposed where .5 lies beyond."""


class UnreachableThresholdsError(MopoError, ValueError):
    """Thresholds no policy on this data can meet; names what is attainable and what would work.

    Attributes:
        relaxed: (K-1,) the nearest targets that can be met; None where none is known.
    """

    def __init__(self, message: str, relaxed: Array | None = None) -> None:
        super().__init__(message)
        self.relaxed = relaxed


def resolve_thresholds(
    objectives: tuple[ObjectiveParams, ...],
    overrides: dict[str, Threshold],
    attainable: Array,
) -> Array:
    """Turn thresholds given as numbers or positions into win rates, shape (K-1,); NaN where none is given.

    ``attainable`` is (K, 2): a position p becomes low + p (high - low).
    """
    _check_names("plan.thresholds", overrides, [o.name for o in objectives[1:]])
    resolved = []
    for objective, (low, high) in zip(objectives[1:], attainable[1:], strict=True):
        threshold = overrides.get(objective.name, objective.threshold)
        if isinstance(threshold, Position):
            threshold = float(low + threshold.position * (high - low))
        resolved.append(np.nan if threshold is None else threshold)
    return np.array(resolved, dtype=np.float64)


def as_good_as_the_data(thresholds: Array, attainable: Array) -> Array:
    """Thresholds (K-1,) with a proposal where none is given (NaN): what the data's own answers have, if that can be reached.

    Of a range ``attainable`` (K, 2) that ends below, nine tenths.

    >>> as_good_as_the_data(np.array([np.nan, 0.6, np.nan]), np.array([[0, 1], [0, 0.9], [0, 1], [0.2, 0.4]])).tolist()
    [0.5, 0.6, 0.38]
    """
    low, high = attainable[1:].T
    proposed = np.minimum(AS_THE_DATA, low + EASY * (high - low))
    return np.where(np.isnan(thresholds), np.round(proposed, 3), thresholds)


def giving_way(asked: Array, relaxed: Array, proposed: NDArray[np.bool_]) -> Array:
    """Thresholds (K-1,) of which those ``proposed`` (K-1,) give way, so that the others may hold as they were asked.

    ``relaxed`` (K-1,) is the nearest to ``asked`` (K-1,) that can all be met, where every threshold gives way; what the
    others gave, those proposed give on top.

    >>> giving_way(np.array([0.5, 0.7]), np.array([0.4, 0.6]), np.array([True, False])).tolist()
    [0.295, 0.7]
    """
    gave = 1.05 * float(np.max(np.where(proposed, 0.0, asked - relaxed), initial=0.0))
    return np.where(proposed, np.floor(np.maximum(relaxed - gave, 0.0) * 1000) / 1000, asked)


def proposal(name: str, threshold: float) -> str:
    """What to say of a threshold that was left out and is planned for."""
    why = "as good as the data" if threshold == AS_THE_DATA else "the data's own .5 is out of reach"
    return (
        f"no threshold given for {name}: planned for {threshold:.3f} ({why}); say another with "
        f"--params={shlex.quote(f'plan.thresholds.{name}=...')}"
    )


def margins_above(names: list[str], margins: dict[str, float]) -> Array:
    """Win rates (K-1,) planned above the thresholds of all objectives but the first."""
    _check_names("plan.margins", margins, names[1:])
    return np.array([margins.get(name, 0.0) for name in names[1:]])


def unreachable(
    error: InfeasibleThresholdsError,
    names: list[str],
    targets: Array,
    params: PlanParams,
    given: Mapping[str, Any],
    promised: Array | None = None,
) -> UnreachableThresholdsError:
    """What to say of targets (K-1,), thresholds with margins, that no policy meets: what is attainable and the nearest.

    ``given`` is what the plan was solved with: a confidence, a radius, or neither. ``promised`` (K-1,) is what labels can
    promise of each objective alone at any distance from the data: below it another temperature may do.
    """
    nearer = ""
    if promised is not None and given["comparisons"] is not None and (targets <= promised).all():
        nearer = (
            f", raise plan.tau (policies nearer to the data promise {_listed(names, promised)})"
        )
    sure = "" if given["confidence"] is None else f" at {given['confidence']:.0%} joint confidence"
    return UnreachableThresholdsError(
        f"thresholds out of reach{sure}: asked for {_listed(names, targets)}; attainable, each alone: "
        f"{_listed(names, np.maximum(error.attainable, 0.0))}; {_remedy(names, error.relaxed, params, given, nearer)}",
        error.relaxed,
    )


def unsolved(
    error: NotConvergedError,
    names: list[str],
    targets: Array,
    params: PlanParams,
    given: Mapping[str, Any],
    alone: Array,
) -> UnreachableThresholdsError:
    """What to say of targets (K-1,), thresholds with margins, for which no plan was found.

    ``alone`` (K-1,) is what can be promised of each objective if nothing else is asked: a target above it is out of reach,
    of others these data are too few.
    """
    if error.relaxed is None:
        return UnreachableThresholdsError(str(error))
    said = "out of reach" if (targets > alone).any() else "that these data are too few to plan for"
    return UnreachableThresholdsError(
        f"thresholds {said}: asked for {_listed(names, targets)}; attainable, each alone: {_listed(names, alone)}; "
        f"{_remedy(names, error.relaxed, params, given)}, or add comparisons",
        error.relaxed,
    )


def _listed(names: list[str], values: Array) -> str:
    """Names of the constrained objectives with values (K-1,)."""
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(names[1:], values, strict=True))


def _check_names(what: str, given: Iterable[str], constrained: list[str]) -> None:
    if unknown := sorted(set(given) - set(constrained)):
        raise InputError(
            f"{what} names {unknown}, but the constrained objectives are {constrained}"
        )


def _remedy(
    names: list[str],
    targets: Array,
    params: PlanParams,
    given: Mapping[str, Any],
    nearer: str = "",
) -> str:
    """Nearest thresholds, below these targets (K-1,), that can be met, the command that asks for them, and what else gives way."""
    relaxed = targets - margins_above(names, params.margins)
    other = nearer
    if given["confidence"] is not None and given["confidence"] > 0.5:
        other += " or lower plan.confidence"
    elif given["epsilon"]:
        other += " or lower plan.epsilon"
    if unsure := [name for name, value in zip(names[1:], relaxed, strict=True) if value < 0]:
        return (
            f"these comparisons promise nothing of {', '.join(unsure)}, not even a threshold of 0: add comparisons with "
            f"labels of it{other}"
        )
    rounded = [_floor(value) for value in relaxed]
    nearest = ", ".join(f"{name} {value}" for name, value in zip(names[1:], rounded, strict=True))
    asked = ",".join(
        f"plan.thresholds.{name}={value}" for name, value in zip(names[1:], rounded, strict=True)
    )
    return f"the nearest that can all be met: {nearest}. Try --params {shlex.quote(asked)}{other}"


def _floor(value: float) -> str:
    """Three digits, rounded towards the attainable side."""
    return f"{np.floor(value * 1000) / 1000:.3f}"
