"""How much the labels of the very responses add, and win rates that use them without holding themselves up.

Comparisons are shared out among folds. For every fold there are win rates from the labels of the other
folds alone: what a fold's labels are held against never saw them.
"""

from typing import Any, NamedTuple

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.preferences.posterior import Pairs, Posterior, fit_posterior, prior_mean

SIGMAS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of a response's own utility that are tried."""

LEAST_GAIN = 1e-3
"""Log loss that labels must add to the words; less is left to the words alone."""

OPPONENTS = 256
"""Responses that stand for the behaviour policy's spread."""


class OwnLabels(NamedTuple):
    """One objective's win rates from scores and the responses' own labels.

    Attributes:
        win_rates: (n,) from all labels.
        errors: (n,) their standard errors.
        without: (J, n) from the labels outside each fold; None where sigma is 0 and all agree.
        predictions: (M,) probability that the first wins, from the labels outside the comparison's fold.
        sigma: the chosen standard deviation of a response's own utility.
        losses: log loss of the predictions at each sigma tried.
    """

    win_rates: Array
    errors: Array
    without: Array | None
    predictions: Array
    sigma: float
    losses: dict[float, float]

    def report(self) -> dict[str, Any]:
        """What labels add to the words, in JSON's terms."""
        return {
            "sigma": self.sigma,
            "log_loss_words": self.losses[0.0],
            "log_loss": self.losses[self.sigma],
            "log_losses": {f"{sigma:g}": loss for sigma, loss in self.losses.items()},
        }

    def sentence(self, objective: str) -> str:
        """What labels add to the words, for people."""
        words, both = self.losses[0.0], self.losses[self.sigma]
        if self.sigma == 0:
            return f"{objective}: people's labels add nothing to what the words say (log loss {words:.3f})"
        return (
            f"{objective}: people's labels add {words - both:.3f} to what the words say: log loss of comparisons left "
            f"out {both:.3f} for {words:.3f} (sigma {self.sigma:g})"
        )


def comparison_folds(prompts: Index, folds: int, rng: np.random.Generator) -> Index:
    """Fold of each comparison (M,): those of every prompt dealt out evenly, from a random fold on.

    >>> int(comparison_folds(np.array([7, 7, 7, 7]), 2, np.random.default_rng(0)).sum())
    2
    """
    order = rng.permutation(len(prompts))
    order = order[np.argsort(prompts[order], kind="stable")]
    start = rng.integers(folds, size=prompts.max(initial=0) + 1)
    new = np.diff(prompts[order], prepend=-1) != 0
    place = np.arange(len(order))
    dealt = place - np.maximum.accumulate(np.where(new, place, 0))
    found = np.empty(len(prompts), dtype=np.int64)
    found[order] = (dealt + start[prompts[order]]) % folds
    return found


def fit_own_labels(
    scores: Array, prompts: Index, pairs: Pairs, folds: Index, min_opponents: int
) -> OwnLabels:
    """Choose sigma by the labels left out, fold by fold, and take win rates at it.

    Args:
        scores: (n,) calibrated scores of a model that saw no label of the row's prompt.
        prompts: (n,) integer prompt ids.
        pairs: M labelled comparisons within prompts.
        folds: (M,) of the comparisons, 0 to J-1.
        min_opponents: of ``Posterior.win_rates``.
    """
    count = int(folds.max(initial=0)) + 1
    losses: dict[float, float] = {}
    tried: dict[float, tuple[Array, list[Posterior]]] = {}
    for sigma in SIGMAS:
        fitted = [
            fit_posterior(scores, prompts, pairs.kept(folds != j), sigma) for j in range(count)
        ]
        predicted = _left_out(fitted, pairs, folds)
        losses[sigma] = log_loss(predicted, pairs)
        if losses[sigma] > min(losses.values()):
            break
        tried = {0.0: tried.get(0.0, (predicted, fitted)), sigma: (predicted, fitted)}
    chosen = max(tried)
    predicted, fitted = tried[chosen if losses[0.0] - losses[chosen] >= LEAST_GAIN else 0.0]
    sigma = fitted[0].sigma
    spread = _spread(prior_mean(scores, sigma), prompts)
    values, errors = fit_posterior(scores, prompts, pairs, sigma).win_rates(spread, min_opponents)
    without = None
    if sigma > 0:
        without = np.stack([fit.win_rates(spread, min_opponents)[0] for fit in fitted])
    return OwnLabels(values, errors, without, predicted, sigma, losses)


def log_loss(predicted: Array, pairs: Pairs) -> float:
    """Mean cross-entropy of (M,) predictions and the labels there are, by their weights; 0 where there is none."""
    used = ~np.isnan(pairs.labels) & (pairs.weights > 0)
    p = np.clip(predicted[used], 1e-12, 1 - 1e-12)
    y, w = pairs.labels[used], pairs.weights[used]
    return float(-(w @ (y * np.log(p) + (1 - y) * np.log1p(-p))) / max(w.sum(), 1e-300))


def _left_out(fitted: list[Posterior], pairs: Pairs, folds: Index) -> Array:
    """What each comparison (M,) is predicted by the fit without its fold."""
    predicted = np.empty(len(folds))
    for j, fit in enumerate(fitted):
        own = folds == j
        predicted[own] = fit.beats(pairs.first[own], pairs.second[own])
    return predicted


def _spread(prior: Array, prompts: Index) -> Array:
    """Distances (m,) from the prompt's mean of evenly spaced rows, at most ``OPPONENTS``."""
    codes = np.unique(prompts, return_inverse=True)[1]
    centred = prior - (np.bincount(codes, prior) / np.bincount(codes))[codes]
    chosen = np.linspace(0, len(prior) - 1, min(len(prior), OPPONENTS)).astype(int)
    return np.asarray(centred[chosen])
