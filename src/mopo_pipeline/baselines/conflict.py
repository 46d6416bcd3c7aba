"""Clipped conflict-averse coefficients: what RACO makes of K gradients."""

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize

from mopo_pipeline.arrays import Array


def coefficients(gram: Array, weights: Array, *, conflict: float, clip: bool) -> Array:
    """Coefficients (K,) of the gradients in RACO's update, whose direction is their combination.

        g_0 = sum_k w_k g_k,   p = argmin_{p in simplex} <G_p, g_0> + c |g_0| |G_p|,   G_p = sum_k p_k g_k
        q = min(p, w) where clipped,   update = g_0 + c |g_0| G_q/|G_q|

    Args:
        gram: (K, K) inner products of the gradients.
        weights: (K,) on the simplex.
        conflict: c in [0, 1), how far the update may leave g_0.
        clip: whether a coefficient may exceed its weight.
    """
    scale = conflict * _length(gram, weights)
    if scale == 0.0:
        return weights.copy()
    mixed = most_averse(gram, gram @ weights, scale)
    if clip:
        mixed = np.minimum(mixed, weights)
    length = _length(gram, mixed)
    return weights + (scale / length) * mixed if length > 0.0 else weights.copy()


def most_averse(gram: Array, slope: Array, scale: float) -> Array:
    """Minimiser (K,) on the simplex of the convex function slope·p + scale sqrt(p·gram·p).

    Args:
        gram: (K, K) positive semidefinite.
        slope: (K,).
        scale: >= 0.
    """
    unit = max(float(np.trace(gram)), float(np.finfo(float).tiny))
    h, b, s = gram / unit, slope / unit, scale / math.sqrt(unit)

    def value(p: Array) -> float:
        return float(b @ p) + s * _length(h, p)

    def gradient(p: Array) -> Array:
        length = _length(h, p)
        return np.asarray(b + (s * (h @ p) / length if length > 1e-12 else 0.0))

    k = len(slope)
    simplex: Any = {"type": "eq", "fun": lambda p: p.sum() - 1.0, "jac": lambda p: np.ones(k)}
    inner = minimize(
        value,
        np.full(k, 1.0 / k),
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * k,
        constraints=simplex,
        options={"ftol": 1e-12, "maxiter": 200},
    ).x.clip(0.0)
    return np.asarray(min([*np.eye(k), inner / inner.sum()], key=value))


def _length(gram: Array, mixed: Array) -> float:
    """Norm of a combination (K,) of vectors whose inner products are ``gram`` (K, K)."""
    return math.sqrt(max(float(mixed @ gram @ mixed), 0.0))
