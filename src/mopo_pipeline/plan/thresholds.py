"""Thresholds as win rates, and what is told of those out of reach."""

from collections.abc import Iterable

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError, MopoError
from mopo_pipeline.mopo import InfeasibleThresholdsError, NotConvergedError
from mopo_pipeline.parameters.base import ObjectiveParams, Position, Threshold
from mopo_pipeline.parameters.plan import PlanParams


class UnreachableThresholdsError(MopoError, ValueError):
    """Thresholds no policy on this data can meet; names what is attainable and what would work."""


def resolve_thresholds(
    objectives: tuple[ObjectiveParams, ...],
    overrides: dict[str, Threshold],
    attainable: Array,
) -> Array:
    """Turn thresholds given as numbers or positions into win rates, shape (K-1,).

    ``attainable`` is (K, 2): a position p becomes low + p (high - low).
    """
    _check_names("plan.thresholds", overrides, [o.name for o in objectives[1:]])
    resolved = []
    for objective, (low, high) in zip(objectives[1:], attainable[1:], strict=True):
        threshold = overrides.get(objective.name, objective.threshold)
        if isinstance(threshold, Position):
            threshold = float(low + threshold.position * (high - low))
        resolved.append(threshold)
    return np.array(resolved, dtype=np.float64)


def margins_above(names: list[str], margins: dict[str, float]) -> Array:
    """Win rates (K-1,) planned above the thresholds of all objectives but the first."""
    _check_names("plan.margins", margins, names[1:])
    return np.array([margins.get(name, 0.0) for name in names[1:]])


def unreachable(
    error: InfeasibleThresholdsError, names: list[str], targets: Array, params: PlanParams
) -> UnreachableThresholdsError:
    """What to say of targets (K-1,), thresholds with margins, that no policy meets: what is attainable and the nearest."""
    sure = f" at {params.confidence:.0%} joint confidence" if params.epsilon is None else ""
    return UnreachableThresholdsError(
        f"thresholds out of reach{sure}: asked for {_listed(names, targets)}; attainable, each alone: "
        f"{_listed(names, error.attainable)}; {_remedy(names, error.relaxed, params)}"
    )


def unsolved(
    error: NotConvergedError, names: list[str], targets: Array, params: PlanParams
) -> UnreachableThresholdsError:
    """What to say of targets (K-1,), thresholds with margins, that these data are too few to plan for."""
    if error.relaxed is None:
        return UnreachableThresholdsError(str(error))
    return UnreachableThresholdsError(
        f"thresholds that these data are too few to plan for: asked for {_listed(names, targets)}; "
        f"{_remedy(names, error.relaxed, params)}, or add comparisons"
    )


def _listed(names: list[str], values: Array) -> str:
    """Names of the constrained objectives with values (K-1,)."""
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(names[1:], values, strict=True))


def _check_names(what: str, given: Iterable[str], constrained: list[str]) -> None:
    if unknown := sorted(set(given) - set(constrained)):
        raise InputError(
            f"{what} names {unknown}, but the constrained objectives are {constrained}"
        )


def _remedy(names: list[str], targets: Array, params: PlanParams) -> str:
    """Nearest thresholds, below these targets (K-1,), that can be met, and the command that asks for them."""
    relaxed = targets - margins_above(names, params.margins)
    rounded = [_floor(value) for value in relaxed]
    nearest = ", ".join(f"{name} {value}" for name, value in zip(names[1:], rounded, strict=True))
    given = ",".join(
        f"plan.thresholds.{name}={value}" for name, value in zip(names[1:], rounded, strict=True)
    )
    return (
        f"the nearest that can all be met: {nearest}. Try --params {given} or lower plan.confidence"
    )


def _floor(value: float) -> str:
    """Three digits, rounded towards the attainable side."""
    return f"{np.floor(value * 1000) / 1000:.3f}"
