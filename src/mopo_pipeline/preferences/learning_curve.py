"""What more labels would buy: the model fitted on a quarter, half and all of the labelled prompts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.preferences.baselines import clustered, log_loss

SHARES = (0.25, 0.5, 1.0)
"""Of the labelled prompts, each among those of the next."""

LEAST_PROMPTS = 40
"""Fewer labelled prompts draw no curve."""


def nested(prompts: Index, rng: np.random.Generator) -> dict[float, NDArray[np.bool_]]:
    """Whether each comparison (M,) is among those of a share of the prompts, for every share below 1.

    Args:
        prompts: (M,) codes of prompts, from 0.
        rng: deals the prompts.
    """
    place = rng.permutation(int(prompts.max(initial=-1)) + 1)[prompts]
    count = int(prompts.max(initial=-1)) + 1
    return {share: place < share * count for share in SHARES if share < 1.0}


def learning_curve(
    predicted: Mapping[float, Array], labels: Array, prompts: Index
) -> dict[str, Any]:
    """Accuracy and log loss by the share of the prompts a model was fitted on, and what twice the labels would add.

    The gain of the last doubling goes on at the pace at which the log loss gained: what twice the labels add is
    that gain times the ratio of the last two gains of log loss, in [0, 1].

    Args:
        predicted: (M,) probabilities that the first response wins, by share, none fitted to its own prompt.
        labels: (M,) in [0, 1], NaN missing.
        prompts: (M,) codes of prompts, or of what was drawn as one.

    Returns:
        ``shares``, ``accuracy`` on decided labels and ``log_loss`` of each, ``gain`` of accuracy by the last doubling
        with ``gain_se`` clustered by prompt, and ``twice``; empty without predictions, or without decided labels of two prompts.
    """
    if not predicted:
        return {}
    known = ~np.isnan(labels) & (labels != 0.5)
    for found in predicted.values():
        known &= ~np.isnan(found)
    y, units = labels[known] > 0.5, np.unique(prompts[known], return_inverse=True)[1]
    if units.size == 0 or units.max() < 1:
        return {}
    right = [((predicted[s][known] > 0.5) == y).astype(np.float64) for s in SHARES]
    losses = [float(log_loss(predicted[s][known], labels[known]).mean()) for s in SHARES]
    gain, error = clustered(right[-1] - right[-2], units)
    before, last = losses[0] - losses[1], losses[1] - losses[2]
    pace = min(max(last / before, 0.0), 1.0) if before > 0.0 else float(last > 0.0)
    return {
        "shares": list(SHARES),
        "accuracy": [float(each.mean()) for each in right],
        "log_loss": losses,
        "gain": gain,
        "gain_se": error,
        "twice": max(gain, 0.0) * pace,
    }


def told(curve: Mapping[str, Any]) -> str:
    """One phrase.

    >>> told({"accuracy": [0.6, 0.64, 0.66], "gain": 0.02, "gain_se": 0.005, "twice": 0.01})
    'accuracy .600, .640, .660 with a quarter, half, all of the labels; twice as many: about +.010'
    """
    steps = ", ".join(f"{value:.3f}".removeprefix("0") for value in curve["accuracy"])
    sure = curve["gain"] > 2.0 * curve["gain_se"]
    more = (
        f"about +{curve['twice']:.3f}".replace("+0", "+") if sure else "no gain seen beyond noise"
    )
    return f"accuracy {steps} with a quarter, half, all of the labels; twice as many: {more}"
