"""Values and bounds of the policy that is learned, and the multipliers that hold them (method.md, sections 2, 4).

The ratio keeps its closed form (2). Values are estimated from what rows and labelled comparisons
say of the policy ``pi ∝ reference exp(u)``; bounds (4) are taken over comparisons, with a radius from
the number of independent comparisons that would be as informative as these.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.bound import LowerBound, bound_mean
from mopo_pipeline.mopo.checks import check_mass, check_number
from mopo_pipeline.mopo.comparisons import Comparisons, CompiledComparisons, Terms
from mopo_pipeline.mopo.confidence import each_level, quantile
from mopo_pipeline.mopo.learned import jackknifed_shares
from mopo_pipeline.mopo.ratio import per_prompt
from mopo_pipeline.mopo.rows import Rows


@dataclass(frozen=True)
class Estimate:
    """What is known of one policy.

    Attributes:
        values: (K,) win rates.
        bounds: K-1 lower bounds of the constrained ones.
        epsilon: (K-1,) their radii.
        effective: (K-1,) independent comparisons that would be as informative; nan without any.
    """

    values: Array
    bounds: tuple[LowerBound, ...]
    epsilon: Array
    effective: Array

    @property
    def levels(self) -> Array:
        """(K-1,) values of the bounds."""
        return np.array([bound.value for bound in self.bounds])


@dataclass(frozen=True)
class PolicyEstimator:
    """Estimates of the policies ``pi ∝ reference exp(direction's / tau)``.

    Attributes:
        rows: sorted rows with the reference's mass.
        behaviour: (n,) mass of the policy that drew rows and pairs; sum 1 over all rows of the data.
        tau: temperature.
        sampled: the rows of a prompt are a sample of its responses, not all there are.
        compared: labelled comparisons, or None.
        epsilon: (K-1,) fixed radii of the bounds, where no level is given.
        level: one-sided level of each bound; None takes ``epsilon``.
    """

    rows: Rows
    behaviour: Array
    tau: float
    sampled: bool
    compared: CompiledComparisons | None
    epsilon: Array
    level: float | None

    def at(self, direction: Array) -> Estimate:
        """Estimate for one direction (K,); ``(1, lambda)`` is the policy of multipliers lambda."""
        rows = self.rows
        prompt_mass = self._prompt_mass()
        shares = np.stack([self._shares(fold, direction) for fold in self.folds])
        own = np.stack(
            [
                np.add.reduceat(fold.columns * share, rows.starts, axis=1)
                for fold, share in zip(self.folds, shares, strict=True)
            ]
        )
        values = own.mean(axis=0) @ prompt_mass
        ratio = shares * rows.spread(prompt_mass) / self.behaviour
        bounds: list[LowerBound] = []
        radii, counts = np.zeros(rows.n_objectives - 1), np.full(rows.n_objectives - 1, np.nan)
        for k in range(rows.n_objectives):
            terms = None if self.compared is None else self.compared.terms[k]
            bound = LowerBound(float(values[k]), np.inf, np.ones(1))
            if terms is not None:
                mean, bound, radius, count = self._over_comparisons(k, terms, ratio, own[:, k])
                values[k] = mean if self.sampled else values[k]
                if k > 0:
                    radii[k - 1], counts[k - 1] = radius, count
            bounds.append(bound)
        return Estimate(values, tuple(bounds[1:]), radii, counts)

    @property
    def folds(self) -> tuple[Rows, ...]:
        """The rows with the win rates of each fold of comparisons; what is estimated is the mean over them."""
        return (self.rows,) if self.compared is None else self.compared.folds

    def _shares(self, rows: Rows, direction: Array) -> Array:
        """What each row (n,) counts for in its prompt, by the win rates of these rows."""
        exponent = (direction @ rows.columns) / self.tau
        if self.sampled:
            return jackknifed_shares(rows, exponent)
        return np.asarray(per_prompt(rows, exponent) * rows.mass / rows.spread(rows.group_mass))

    def _prompt_mass(self) -> Array:
        """What each prompt counts for, (G,): its mass under who drew the rows where these are a sample."""
        if not self.sampled:
            return self.rows.group_mass
        mass = np.add.reduceat(self.behaviour, self.rows.starts)
        return np.asarray(mass / mass.sum())

    def _over_comparisons(
        self, k: int, terms: Terms, ratio: Array, own: Array
    ) -> tuple[float, LowerBound, float, float]:
        """Mean, bound, radius and effective number of an objective's comparisons, by its fold's ratio (J, n) and values (J, G)."""
        prompts, fold = len(self.rows.starts), terms.fold
        padded = np.pad(own, ((0, 0), (0, 1)))
        correction = terms.left * ratio[fold, terms.first] + terms.right * ratio[fold, terms.second]
        if self.sampled:
            spread = padded[fold, terms.prompt]
            correction = correction - np.where(terms.beside_value, 0.0, spread)
            value = own @ self._prompt_mass()
            terms_now = correction + spread + (value - _fold_means(terms, spread, len(own)))[fold]
            pull = self._prompt_mass() * (own - value[:, None]).mean(axis=0)
        else:
            terms_now, pull = correction, np.zeros(prompts)
        mean = float(terms.mass @ terms_now)
        centred = correction - _fold_means(terms, correction, len(own))[fold]
        pull = np.append(pull, 0.0) + np.bincount(
            terms.prompt, terms.mass * centred, minlength=prompts + 1
        )
        assert self.compared is not None
        drawn = self.compared.clusters
        pull = np.bincount(drawn, pull).astype(np.float64)
        count = effective_number(terms, terms_now - mean, pull)
        radius = float(self.epsilon[k - 1]) if k else 0.0
        if self.level is not None and k:
            weight = np.bincount(drawn[terms.prompt], terms.mass).astype(np.float64)
            radius = quantile(self.level, weight[weight > 0]) ** 2 / (2.0 * count)
        return mean, bound_mean(terms_now, terms.mass, radius), radius, count


def _fold_means(terms: Terms, values: Array, folds: int) -> Array:
    """Mean (J,) of values (M,) over each fold's comparisons; 0 where it has none."""
    mass = np.bincount(terms.fold, terms.mass, folds)
    return np.asarray(
        np.bincount(terms.fold, terms.mass * values, folds) / np.maximum(mass, 1e-300)
    )


def effective_number(terms: Terms, deviations: Array, pull: Array) -> float:
    """Independent comparisons whose mean would vary as this one does.

    The variance of the mean is that of sums over whole clusters of prompts, a prompt by itself where
    none are given, because comparisons of one prompt share responses; with a single cluster
    comparisons are taken as independent. Never more than ``(sum w)² / sum w²``.

    Args:
        terms: of the comparisons.
        deviations: (M,) of the terms from their mean.
        pull: (C,) what each cluster adds to the deviation of the mean.
    """
    moved = pull[pull != 0.0]
    if moved.size < 2:
        return terms.effective
    variance = float(moved @ moved) * moved.size / (moved.size - 1)
    single = float(terms.mass @ deviations**2)
    if variance <= 1e-300 or single <= 1e-300:
        return terms.effective
    return float(min(single / variance, terms.effective))


def build_estimator(
    rows: Rows,
    tau: float,
    sampled: bool,
    *,
    behaviour: ArrayLike | None = None,
    comparisons: Comparisons | None = None,
    epsilon: Array | None = None,
    confidence: float | None = None,
) -> PolicyEstimator:
    """Check what ``solve_dual`` was given of the data, ``behaviour`` (N,), and of confidence, ``epsilon`` (K-1,).

    Raises:
        InputError: both a radius and a confidence; a behaviour policy that gives no mass to a row
            of the reference; whatever the comparisons say.
    """
    constraints = rows.n_objectives - 1
    radius = np.zeros(constraints) if epsilon is None else epsilon
    level = None
    if confidence is not None:
        if radius.any():
            raise InputError("give epsilon or confidence, not both: confidence sets epsilon")
        level = each_level(
            check_number("confidence", confidence, at_least=0.5, below=1), constraints
        )
    mass = rows.mass
    if behaviour is not None:
        mass = rows.take(check_mass("behaviour", behaviour, rows.n_rows))
        if (mass <= 0).any():
            raise InputError(
                "behaviour must have mass wherever the reference has: pairs drawn by it say nothing of "
                "other rows"
            )
    compared = None
    if comparisons is not None:
        compared = CompiledComparisons.build(comparisons, rows, sampled)
    return PolicyEstimator(rows, mass, tau, sampled, compared, radius, level)
