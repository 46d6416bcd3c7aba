"""What no reward can say: answers that beat each other in a circle (general preference model, Zhang et al. 2024)."""

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.preferences.baselines import clustered, log_loss
from mopo_pipeline.preferences.features import Features
from mopo_pipeline.preferences.fit import CrossFit
from mopo_pipeline.preferences.model import standardise
from mopo_pipeline.preferences.networks import rewards_of
from mopo_pipeline.sampling_units import sampling_units
from mopo_pipeline.streams import Stream, generator
from mopo_pipeline.tables import comparison_weights

log = logging.getLogger(__name__)

PLANES = 2
"""Planes in which answers may go round; three answers in a circle need one."""

PENALTIES = (0.2, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01, 3e-3, 1e-3)
"""Quadratic penalties that are tried, the strongest first."""

LEVEL_GROUND = 1.001
"""Rise of the loss from one penalty to the next that ends the search; strong ones leave nothing and differ by rounding."""

START, STEPS = 0.1, 200
"""Deviation of the first coordinates, for 0 is a saddle; most steps of a fit."""

SURE = 1.645
"""Standard errors by which the loss on folds left out must fall for circles to be believed (one-sided, 95 %)."""


class Cycles(NamedTuple):
    """A term of preference beyond rewards: logit p(a beats b) = r_a - r_b + ``circling`` of their coordinates.

    Attributes:
        turns: (n, K, D) coordinates of the responses, D even; 0 of objectives whose labels show no circles.
        predictions: (M, K) p(a beats b) per comparison, of labels of the fitted split out of fold.
        told: by objective, under ``cycles``, the log loss on folds left out with and without, the gain with its standard
            error, and whether circles were taken; empty where none were looked for.
    """

    turns: Array
    predictions: Array
    told: dict[str, dict[str, Any]]


def circling(one: Array, other: Array) -> Array:
    """What speaks for ``one`` against ``other`` beyond rewards, antisymmetric: sum of u_1 v_2 - u_2 v_1 over planes.

    Args:
        one: (..., D) coordinates, D even.
        other: (..., D), of a shape that goes with it.

    >>> circling(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 2.0], [1.0, 1.0]]))
    array([2., 0.])
    """
    return np.asarray((one * _turned(other)).sum(axis=-1))


def no_cycles(fit: CrossFit) -> Cycles:
    """Rewards alone."""
    return Cycles(np.zeros((*fit.rewards.shape, 0)), fit.predictions, {})


def fit_cycles(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    fit: CrossFit,
    objectives: tuple[str, ...],
    seed: int,
) -> Cycles:
    """Fit circles on top of cross-fitted rewards, fold by fold, and keep those that the folds left out confirm.

    Args:
        responses: every response.
        comparisons: labelled pairs; those of the training split are fitted.
        fit: of the same responses and comparisons.
        objectives: names of the K objectives.
        seed: of the first coordinates.
    """
    model = fit.model
    texts = responses["prompt"].tolist(), responses["response"].tolist()
    table = standardise(model.features(*texts), model.scale)
    place = pd.Series(np.arange(len(responses)), index=responses["response_id"])
    pairs = np.column_stack([place.loc[comparisons[c]] for c in ("response_a", "response_b")])
    train = (comparisons["split"] == "train").to_numpy()
    units = pd.factorize(comparisons.loc[train, "prompt_id"].map(sampling_units(responses)))[0]
    labels = comparisons.loc[train, list(objectives)].to_numpy(dtype=np.float64)
    weights = comparison_weights(comparisons.loc[train], objectives)
    gaps = np.stack([rewards_of(member, table) * model.temperature for member in model.members])
    turns = np.zeros((len(responses), len(objectives), len(model.members) * 2 * PLANES))
    predictions, told = fit.predictions.copy(), {}
    for k, name in enumerate(objectives):
        known = ~np.isnan(labels[:, k]) & (weights[:, k] > 0)
        shown = _Shown(
            table,
            pairs[train][known],
            labels[known, k],
            weights[known, k],
            fit.folds[pairs[train][known, 0]],
            gaps[:, :, k],
        )
        found = _placed(shown, fit.folds, generator(seed, Stream.CYCLES, k))
        extra = circling(found[pairs[:, 0]], found[pairs[:, 1]])
        gap = fit.rewards[pairs[:, 0], k] - fit.rewards[pairs[:, 1], k]
        with_circles = expit(gap + extra)
        plain = log_loss(fit.predictions[train, k][known], shown.labels)
        loss = log_loss(with_circles[train][known], shown.labels)
        gain, error = clustered(plain - loss, np.unique(units[known], return_inverse=True)[1])
        taken = bool(gain > SURE * error)
        if taken:
            turns[:, k], predictions[:, k] = found, with_circles
        facts = {"log_loss": float(loss.mean()), "of_rewards": float(plain.mean())}
        facts |= {"gain": gain, "gain_se": error, "taken": taken}
        told[name] = {"cycles": facts}
        log.info("%s: %s", name, _sentence(facts))
    return Cycles(turns, predictions, told)


class _Shown(NamedTuple):
    """Comparisons of one objective: pairs (M, 2), labels, weights and folds (M,), and calibrated rewards (J, n) by member."""

    table: Features
    pairs: Index
    labels: Array
    weights: Array
    folds: Index
    rewards: Array


def _placed(shown: _Shown, folds: Index, rng: np.random.Generator) -> Array:
    """Coordinates (n, D) of all responses, of folds (n,) by the fit without them, of others by the mean of all fits."""
    count, size = len(shown.rewards), shown.table.shape[1]
    start = rng.normal(0.0, START, (size, 2 * PLANES))
    best, least = np.zeros((count, size, 2 * PLANES)), np.inf
    for penalty in PENALTIES:
        now = np.stack([_fitted(shown, fold, penalty, start) for fold in range(count)])
        loss = sum(_loss_outside(shown, fold, now[fold]) for fold in range(count))
        if loss > least * LEVEL_GROUND:
            break
        if loss < least:
            best, least = now, loss
    placed = []
    for fold, way in enumerate(best):
        share = np.where(folds == fold, 1.0, np.where(folds < 0, 1.0 / np.sqrt(count), 0.0))
        placed.append(np.asarray(shown.table @ way) * share[:, None])
    return np.concatenate(placed, axis=1)


def _fitted(shown: _Shown, fold: int, penalty: float, start: Array) -> Array:
    """Map (F, D) from features to coordinates, of least penalised loss on all folds but one, from ``start`` (F, D)."""
    use = shown.folds != fold
    rows, place = np.unique(shown.pairs[use], return_inverse=True)
    table = shown.table[rows]
    turned = table.T if isinstance(table, np.ndarray) else table.T.tocsr()
    first, second = place.reshape(-1, 2).T
    rewards, labels = shown.rewards[fold][rows], shown.labels[use]
    mass = shown.weights[use] / shown.weights[use].sum()

    def loss(flat: Array) -> tuple[float, Array]:
        way = flat.reshape(start.shape)
        own = np.asarray(table @ way)
        one, other = own[first], own[second]
        gap = rewards[first] - rewards[second] + circling(one, other)
        value = mass @ (np.logaddexp(0.0, gap) - labels * gap) + penalty / 2 * (flat @ flat)
        surprise = (mass * (expit(gap) - labels))[:, None]
        slope = np.zeros_like(own)
        np.add.at(slope, first, surprise * _turned(other))
        np.add.at(slope, second, -surprise * _turned(one))
        return float(value), np.ravel(turned @ slope) + penalty * flat

    found = minimize(loss, start.ravel(), method="L-BFGS-B", jac=True, options={"maxiter": STEPS})
    return np.asarray(found.x).reshape(start.shape)


def _loss_outside(shown: _Shown, fold: int, way: Array) -> float:
    """Loss on the comparisons of a fold of the map ``way`` (F, D) that was fitted without it."""
    held = shown.folds == fold
    first, second = shown.pairs[held].T
    own = np.asarray(shown.table @ way)
    gap = shown.rewards[fold][first] - shown.rewards[fold][second]
    said = expit(gap + circling(own[first], own[second]))
    return float(shown.weights[held] @ log_loss(said, shown.labels[held]))


def _turned(points: Array) -> Array:
    """Coordinates (..., D) a quarter turn on in each plane: (u_1, u_2) becomes (u_2, -u_1)."""
    turned = np.empty_like(points)
    turned[..., 0::2], turned[..., 1::2] = points[..., 1::2], -points[..., 0::2]
    return turned


def _sentence(found: dict[str, Any]) -> str:
    """What was found, for the log."""
    compared = f"log loss {found['log_loss']:.4f} with circles, {found['of_rewards']:.4f} with rewards alone"
    return f"{compared}: {'answers beat each other in a circle' if found['taken'] else 'no sign of circles'}"
