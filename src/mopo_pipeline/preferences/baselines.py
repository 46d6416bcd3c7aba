"""Whether predictions say more than what anyone could say without reading the answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, ndtri

from mopo_pipeline.arrays import Array, Index

TOO_WEAK = "is too weak to train on"
LENGTH_ALONE = "says no more than the length of the answers"
STRONGER = "says more than its baselines"

LEVEL = 0.95
"""One-sided level at which a gain over a baseline is one."""

STEEPEST = 8.0
"""Largest weight of a difference in log words; one word against two would decide at 0.996."""


def against_baselines(
    predicted: Array, labels: Array, length_gap: Array, units: Index
) -> dict[str, Any]:
    """Hold predictions against a coin, the share of first answers that win, and the length of the answers.

    ``first`` and ``length`` are fitted on one half of the units and asked about the other, so that all
    are judged on labels they were not fitted to, as the predictions are. A gain is the mean drop of the
    log loss, in nats per comparison, with its standard error clustered by what was drawn as one.

    Args:
        predicted: (M,) probability that the first response wins, not fitted to its own label.
        labels: (M,) in [0, 1], NaN missing.
        length_gap: (M,) log words of the first response less those of the second.
        units: (M,) codes of prompts, or of the groups they were drawn in.

    Returns:
        ``log_loss``, by baseline its ``log_loss``, ``gain`` and ``gain_se``, and a ``verdict``; empty
        where fewer than two units have labels.
    """
    present = ~(np.isnan(labels) | np.isnan(predicted))
    y, gap = labels[present], length_gap[present]
    units = np.unique(units[present], return_inverse=True)[1]
    if units.size == 0 or units.max() < 1:
        return {}
    half = units % 2 == 0
    own = log_loss(predicted[present], y)
    told: dict[str, Any] = {}
    for name, q in (
        ("constant", np.full(len(y), 0.5)),
        ("first", np.where(half, y[~half].mean(), y[half].mean())),
        ("length", _by_length(y, gap, half)),
    ):
        loss = log_loss(q, y)
        mean, error = clustered(loss - own, units)
        told[name] = {"log_loss": float(loss.mean()), "gain": mean, "gain_se": error}
    return {"log_loss": float(own.mean()), **told, "verdict": _verdict(told)}


def _verdict(told: dict[str, Any]) -> str:
    z = ndtri(LEVEL)
    better = {name: found["gain"] > z * found["gain_se"] for name, found in told.items()}
    if not (better["constant"] and better["first"]):
        return TOO_WEAK
    return STRONGER if better["length"] else LENGTH_ALONE


def _by_length(labels: Array, gap: Array, half: NDArray[np.bool_]) -> Array:
    """Probabilities (M,) from the difference in length alone, its weight fitted on the other half."""
    steepness = [_steepness(labels[~half], gap[~half]), _steepness(labels[half], gap[half])]
    return expit(np.where(half, steepness[0], steepness[1]) * gap)


def _steepness(labels: Array, gap: Array) -> float:
    """The weight of gaps (m,) with the smallest log loss on labels (m,); negative where shorter wins."""
    found = minimize_scalar(
        lambda weight: float(log_loss(expit(weight * gap), labels).sum()),
        bounds=(-STEEPEST, STEEPEST),
        method="bounded",
    )
    return float(found.x)


def log_loss(p: Array, y: Array) -> Array:
    """Cross-entropy (M,) of probabilities (M,) on labels (M,) in [0, 1], in nats."""
    inside = np.clip(p, 1e-6, 1.0 - 1e-6)
    return np.asarray(-(y * np.log(inside) + (1.0 - y) * np.log1p(-inside)))


def clustered(values: Array, units: Index) -> tuple[float, float]:
    """Mean of values (M,) and its standard error where those of one unit (M,) depend on each other."""
    mean, count = values.mean(), int(units.max()) + 1
    sums = np.bincount(units, weights=values - mean)
    return float(mean), float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(values))
