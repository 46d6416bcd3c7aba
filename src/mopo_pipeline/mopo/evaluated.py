"""Labelled comparisons under one policy: two passes over blocks of them, two numbers of each held."""

from dataclasses import dataclass

import numpy as np

from mopo_pipeline.arrays import Array, Index
from mopo_pipeline.mopo.annotators import NOTHING, Added, added_by_annotators
from mopo_pipeline.mopo.terms import Part, Terms, of_fold, slices


@dataclass(frozen=True)
class Evaluated:
    """One objective's labelled comparisons under one policy.

    Attributes:
        values: (M,) terms, whose mean is the policy's win rate.
        mass: (M,) weights, sum 1.
        mean: of the values.
        single: variance of a single comparison.
        pull: (G+1,) what the comparisons of each prompt add to the deviation of the mean.
        moved: (M,) what each comparison adds to it; None where no annotators are told apart.
    """

    values: Array
    mass: Array
    mean: float
    single: float
    pull: Array
    moved: Array | None


def evaluate(terms: Terms, ratio: Array, own: Array, value: Array) -> Evaluated:
    """The terms of each comparison at the ratio (J, n) of its fold.

    Args:
        terms: of the objective.
        ratio: (J, n) of each fold's policy over who drew the rows.
        own: (J, G) its values by prompt.
        value: (J,) its values, which the terms are moved to where rows are a sample.
    """
    folds, padded = len(ratio), np.hstack([own, np.zeros((len(own), 1))])
    values, mass, sums = np.empty(terms.count), np.empty(terms.count), np.zeros((3, folds))
    for here, part in terms.blocks():
        left, right, beside_value = terms.coefficients(part)
        correction = left * of_fold(ratio, part.fold, part.first)
        correction += right * of_fold(ratio, part.fold, part.second)
        spread = _spread(terms, padded, part)
        correction -= np.where(beside_value, 0.0, spread)
        values[here], mass[here] = correction, part.mass
        sums[0] += _by_fold(part, 1.0, folds)
        sums[1] += _by_fold(part, correction, folds)
        sums[2] += _by_fold(part, spread, folds)
    correction_mean, spread_mean = sums[1:] / np.maximum(sums[0], 1e-300)
    moved = np.empty(terms.count) if terms.annotated else None
    pull = np.zeros(own.shape[1] + 1)
    for here, part in terms.blocks():
        shift = part.mass * (values[here] - correction_mean[part.fold])
        np.add.at(pull, part.prompt, shift)
        if moved is not None:
            moved[here] = shift
        if terms.sampled:
            values[here] += _spread(terms, padded, part) + (value - spread_mean)[part.fold]
    mean = float(mass @ values)
    single = sum(float(mass[here] @ (values[here] - mean) ** 2) for here in slices(terms.count))
    return Evaluated(values, mass, mean, single, pull, moved)


def added(terms: Terms, said: Evaluated, clusters: Index | None) -> Added:
    """What annotators add to the variance of the mean; ``clusters`` (G+1,) of the prompts, None where comparisons are independent."""
    if said.moved is None:
        return NOTHING
    who = np.empty(terms.count, dtype=np.int64)
    unit = None if clusters is None else np.empty(terms.count, dtype=np.int64)
    for here, part in terms.blocks():
        who[here] = part.annotator
        if unit is not None and clusters is not None:
            unit[here] = clusters[part.prompt]
    return added_by_annotators(said.moved, said.mass, unit, who)


def _spread(terms: Terms, padded: Array, part: Part) -> Array:
    """The value (m,) of each comparison's prompt, of values (J, G+1); 0 where the rows are all there are."""
    if not terms.sampled:
        return np.zeros(len(part.mass))
    return of_fold(padded, part.fold, part.prompt)


def _by_fold(part: Part, values: Array | float, folds: int) -> Array:
    """Sums (J,) of mass times values (m,)."""
    weighted = part.mass * values
    if folds == 1:
        return np.array([weighted.sum()])
    return np.bincount(part.fold, weighted, folds).astype(np.float64)
