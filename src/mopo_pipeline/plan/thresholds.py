"""Thresholds as win rates, and what is told of those out of reach."""

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
    constrained = [o.name for o in objectives[1:]]
    if unknown := sorted(set(overrides) - set(constrained)):
        raise InputError(
            f"plan.thresholds names {unknown}, but the constrained objectives are {constrained}"
        )
    resolved = []
    for objective, (low, high) in zip(objectives[1:], attainable[1:], strict=True):
        threshold = overrides.get(objective.name, objective.threshold)
        if isinstance(threshold, Position):
            threshold = float(low + threshold.position * (high - low))
        resolved.append(threshold)
    return np.array(resolved, dtype=np.float64)


def unreachable(
    error: InfeasibleThresholdsError, names: list[str], thresholds: Array, params: PlanParams
) -> UnreachableThresholdsError:
    """What to say of thresholds (K-1,) that no policy meets, with what is attainable and the nearest."""
    sure = f" at {params.confidence:.0%} joint confidence" if params.epsilon is None else ""
    return UnreachableThresholdsError(
        f"thresholds out of reach{sure}: asked for {_listed(names, thresholds)}; attainable, each alone: "
        f"{_listed(names, error.attainable)}; {_remedy(names, error.relaxed)}"
    )


def unsolved(
    error: NotConvergedError, names: list[str], thresholds: Array
) -> UnreachableThresholdsError:
    """What to say of thresholds (K-1,) that these data are too few to plan for."""
    if error.relaxed is None:
        return UnreachableThresholdsError(str(error))
    return UnreachableThresholdsError(
        f"thresholds that these data are too few to plan for: asked for {_listed(names, thresholds)}; "
        f"{_remedy(names, error.relaxed)}, or add comparisons"
    )


def _listed(names: list[str], values: Array) -> str:
    """Names of the constrained objectives with values (K-1,)."""
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(names[1:], values, strict=True))


def _remedy(names: list[str], relaxed: Array) -> str:
    """Nearest thresholds (K-1,) that can be met, and the command that asks for them."""
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
