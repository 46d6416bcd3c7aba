"""Values and bounds of the policy that is learned, and the multipliers that hold them (method.md, sections 2, 4).

The ratio keeps its closed form (2). Values are estimated from what rows and labelled comparisons
say of the policy ``pi ∝ reference exp(u)``; bounds (4) are taken over comparisons, with a radius from
the number of independent comparisons that would be as informative as these.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo.annotators import joint_freedom
from mopo_pipeline.mopo.bound import Bounded, bounded
from mopo_pipeline.mopo.checks import check_mass, check_number
from mopo_pipeline.mopo.comparisons import Comparisons, CompiledComparisons
from mopo_pipeline.mopo.confidence import each_level, quantile
from mopo_pipeline.mopo.evaluated import added, evaluate
from mopo_pipeline.mopo.learned import jackknifed_shares
from mopo_pipeline.mopo.ratio import per_prompt
from mopo_pipeline.mopo.rows import Rows
from mopo_pipeline.mopo.terms import Terms


@dataclass(frozen=True)
class Estimate:
    """What is known of one policy.

    Attributes:
        values: (K,) win rates.
        bounds: K-1 lower bounds of the constrained ones.
        epsilon: (K-1,) their radii.
        effective: (K-1,) independent comparisons that would be as informative; nan without any.
        effective_if_alike: (K-1,) the same if annotators did not differ from each other.
    """

    values: Array
    bounds: tuple[Bounded, ...]
    epsilon: Array
    effective: Array
    effective_if_alike: Array

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
        size = self.rows.n_objectives
        ratio, own = self._policies(direction)
        values = own.mean(axis=0) @ self.prompt_mass
        bounds: list[Bounded] = []
        radii, counts = np.zeros(size - 1), np.full((2, size - 1), np.nan)
        for k in range(size):
            terms = None if self.compared is None else self.compared.terms[k]
            bound = Bounded(float(values[k]), np.inf)
            if terms is not None:
                mean, bound, radius, count, alike = self._over_comparisons(
                    k, terms, ratio, own[:, k]
                )
                values[k] = mean if self.sampled else values[k]
                if k > 0:
                    radii[k - 1], counts[:, k - 1] = radius, (count, alike)
            bounds.append(bound)
        return Estimate(values, tuple(bounds[1:]), radii, *counts)

    @property
    def folds(self) -> tuple[Rows, ...]:
        """The rows with the win rates of each fold of comparisons; what is estimated is the mean over them."""
        return (self.rows,) if self.compared is None else self.compared.folds

    @cached_property
    def prompt_mass(self) -> Array:
        """What each prompt counts for, (G,): its mass under who drew the rows where these are a sample."""
        if not self.sampled:
            return self.rows.group_mass
        mass = np.add.reduceat(self.behaviour, self.rows.starts)
        return np.asarray(mass / mass.sum())

    def _policies(self, direction: Array) -> tuple[Array, Array]:
        """Ratio (J, n) over who drew the rows of each fold's policy of a direction (K,), and its values (J, K, G) by prompt."""
        rows = self.rows
        ratio = np.empty((len(self.folds), len(rows.mass)))
        own = np.empty((len(self.folds), rows.n_objectives, len(rows.starts)))
        for j, fold in enumerate(self.folds):
            for here, groups, part in fold.parts():
                shares = self._shares(part, direction)
                own[j][:, groups] = np.add.reduceat(part.columns * shares, part.starts, axis=1)
                ratio[j, here] = (
                    shares * part.spread(self.prompt_mass[groups]) / self.behaviour[here]
                )
        return ratio, own

    def _shares(self, rows: Rows, direction: Array) -> Array:
        """What each row (n,) counts for in its prompt, by the win rates of these rows."""
        exponent = (direction @ rows.columns) / self.tau
        if self.sampled:
            return jackknifed_shares(rows, exponent)
        return np.asarray(per_prompt(rows, exponent) * rows.mass / rows.spread(rows.group_mass))

    def _over_comparisons(
        self, k: int, terms: Terms, ratio: Array, own: Array
    ) -> tuple[float, Bounded, float, float, float]:
        """Mean, bound, radius and effective numbers of an objective's comparisons, by its fold's ratio (J, n) and values (J, G).

        The second number takes annotators to be alike.
        """
        assert self.compared is not None
        said = evaluate(terms, ratio, own, own @ self.prompt_mass)
        pull = said.pull.copy()
        if self.sampled:
            pull[:-1] += self.prompt_mass * (own - (own @ self.prompt_mass)[:, None]).mean(axis=0)
        clusters = self.compared.clusters
        pull = np.bincount(clusters, pull).astype(np.float64)
        variance = variance_of_mean(terms, said.single, pull)
        more = added(terms, said, clusters if (pull != 0.0).sum() > 1 else None)
        alike = effective_number(terms, variance, said.single)
        count = effective_number(terms, variance + more.variance, said.single)
        radius = float(self.epsilon[k - 1]) if k else 0.0
        if self.level is not None and k:
            freedom = joint_freedom(variance, terms.freedom, more)
            radius = quantile(self.level, freedom) ** 2 / (2.0 * count)
        return said.mean, bounded(said.values, said.mass, radius), radius, count, alike


def variance_of_mean(terms: Terms, single: float, pull: Array) -> float:
    """Variance of the mean of comparisons.

    It is that of sums over whole clusters of prompts, a prompt by itself where none are given, because
    comparisons of one prompt share responses; with a single cluster comparisons are taken as independent.

    Args:
        terms: of the comparisons.
        single: variance of one of them.
        pull: (C,) what each cluster adds to the deviation of the mean.
    """
    moved = pull[pull != 0.0]
    if moved.size < 2:
        return single / terms.effective
    return float(moved @ moved * (moved.size / (moved.size - 1)))


def effective_number(terms: Terms, variance: float, single: float) -> float:
    """Independent comparisons whose mean would have this variance; never more than ``(sum w)² / sum w²``."""
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
