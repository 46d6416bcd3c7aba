"""How well predicted preference probabilities match labels they were not fitted to."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from mopo_pipeline.arrays import Array

BINS = 10


def calibration(predicted: Array, labels: Array) -> dict[str, Any]:
    """Accuracy on decided labels, Brier score, expected calibration error and reliability bins.

    Args:
        predicted: (M,) probability that the first response wins.
        labels: (M,) in [0, 1], NaN missing.
    """
    present = ~(np.isnan(labels) | np.isnan(predicted))
    p, y = predicted[present], labels[present]
    decided = y != 0.5
    index = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = [
        {
            "predicted": float(p[index == b].mean()),
            "observed": float(y[index == b].mean()),
            "count": int((index == b).sum()),
        }
        for b in range(BINS)
        if (index == b).any()
    ]
    ece = sum(b["count"] * abs(b["predicted"] - b["observed"]) for b in bins) / max(len(p), 1)
    return {
        "comparisons": len(p),
        "accuracy": float(((p > 0.5) == (y > 0.5))[decided].mean()) if decided.any() else None,
        "brier": float(((p - y) ** 2).mean()) if len(p) else None,
        "ece": float(ece),
        "bins": bins,
    }


def fit_temperature(logits: Array, labels: Array, weights: Array) -> float:
    """Scale of logits (n,), within 1/20 to 20, with the smallest cross-entropy on labels (n,) the rewards were not fitted to."""
    present = ~(np.isnan(labels) | np.isnan(logits))
    z, y, w = logits[present], labels[present], weights[present]
    if z.size == 0 or not np.abs(z).max() > 0:
        return 1.0

    def loss(log_scale: float) -> float:
        p = np.clip(expit(np.exp(log_scale) * z), 1e-12, 1 - 1e-12)
        return float(-(w * (y * np.log(p) + (1 - y) * np.log1p(-p))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))
