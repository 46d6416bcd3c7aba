"""Preference structures as problems: win rates, thresholds that bind, sampled comparisons."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import (
    Comparisons,
    DualSolution,
    each_level,
    epsilon_for_confidence,
    solve_dual,
)
from mopo_pipeline.parameters.synthetic import SyntheticParams
from mopo_pipeline.pareto.front import true_front_at
from mopo_pipeline.streams import generator_of


@dataclass(frozen=True)
class Problem:
    """The first K objectives of a structure.

    Attributes:
        name: of the structure.
        preferences: (K, n, n) probabilities that the row beats the column.
        behaviour: (n,) mass of the alternatives, sum 1.
    """

    name: str
    preferences: Array
    behaviour: Array

    @property
    def objectives(self) -> int:
        """K."""
        return len(self.preferences)

    @cached_property
    def win_rates(self) -> Array:
        """True win rates against the behaviour policy, (n, K)."""
        return np.asarray((self.preferences @ self.behaviour).T)

    @cached_property
    def cells(self) -> "Cells":
        """What one comparison can turn out as."""
        return _cells(self)

    def generator(self, *parts: int) -> np.random.Generator:
        """A generator of this problem's own, whatever other structures there are."""
        return generator_of(self.name, self.objectives, *parts)

    def values(self, solution: DualSolution) -> Array:
        """True win rates (K,) of a solved policy."""
        return np.asarray((self.behaviour * solution.ratio) @ self.win_rates)


@dataclass(frozen=True)
class Cells:
    """Every outcome of one comparison: an ordered pair and a label per objective.

    Attributes:
        first: (M,) row of one alternative, M = n² 2^K.
        second: (M,) row of the other.
        labels: (M, K) 1 where the first wins, 0 where the second does.
        probability: (M,) of the outcome, sum 1: both drawn from the behaviour policy, labels
            independent given the pair.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    labels: Array
    probability: Array


@dataclass(frozen=True)
class Sample:
    """A sampled dataset: one half fits the win rates, the other carries the bound.

    Attributes:
        win_rates: (n, K) fitted on the first half, each pair's probability shrunk to .5 by one
            pseudo-win and one pseudo-loss.
        comparisons: the second half, one entry per outcome, weighted by its count.
        second_half: number of comparisons in the second half.
    """

    win_rates: Array
    comparisons: Comparisons
    second_half: int


def problems(params: SyntheticParams) -> list[Problem]:
    """Every structure with every number of objectives asked for that it has matrices for."""
    return [
        Problem(name, np.array(structure.preferences[:count]), np.array(structure.behaviour))
        for name, structure in params.structures.items()
        for count in sorted(set(params.objectives))
        if count <= len(structure.preferences)
    ]


def threshold_grid(problem: Problem, count: int) -> Iterator[Array]:
    """Thresholds (K-1,) spread over the range of each constrained objective, those jointly feasible."""
    present = problem.win_rates[problem.behaviour > 0, 1:]
    low, high = present.min(axis=0), present.max(axis=0)
    axes = np.linspace(low + 0.1 * (high - low), high - 0.01, count).T
    for thresholds in product(*axes):
        try:
            true_front_at(problem.win_rates, thresholds, reference=problem.behaviour)
        except InputError:
            continue
        yield np.array(thresholds)


def thresholds_above(problem: Problem, position: float) -> Array:
    """Thresholds a share of the way from the behaviour policy's own .5 to the most met together.

    All rise from .5 by the same share of their own room below their maximum, as far as one policy
    can meet them together (a linear programme); ``position`` is the share of that.

    Args:
        problem: K >= 2.
        position: in [0, 1): 0 as good as the data, which the behaviour policy itself meets.

    Returns:
        (K-1,) win rates.
    """
    present = problem.win_rates[problem.behaviour > 0, 1:]
    room = present.max(axis=0) - 0.5
    found = linprog(
        np.append(np.zeros(len(present)), -1.0),
        A_ub=np.column_stack([-present.T, room]),
        b_ub=np.full(len(room), -0.5),
        A_eq=[np.append(np.ones(len(present)), 0.0)],
        b_eq=[1.0],
        method="highs",
    )
    assert found.x is not None
    return np.asarray(0.5 + position * found.x[-1] * room)


def sample(problem: Problem, n: int, rng: np.random.Generator) -> Sample:
    """Draw ``n`` labelled pairs; the counts of their outcomes are all that matters.

    Args:
        problem: where they are drawn from.
        n: comparisons, >= 2.
        rng: draws the two halves.
    """
    cells, size = problem.cells, len(problem.behaviour)
    fit = rng.multinomial(n // 2, cells.probability)
    second_half = rng.multinomial(n - n // 2, cells.probability)
    pair = cells.first * size + cells.second

    def by_pair(counts: ArrayLike) -> Array:
        table = np.bincount(pair, np.asarray(counts, dtype=np.float64), size * size)
        return np.asarray(table.reshape(size, size), dtype=np.float64)

    seen = by_pair(fit) + by_pair(fit).T
    wins = [by_pair(fit * won) + by_pair(fit * (1 - won)).T for won in cells.labels.T]
    model = (np.array(wins) + 1) / (seen + 2)
    drawn = second_half > 0
    first, second = cells.first[drawn], cells.second[drawn]
    return Sample(
        (model @ problem.behaviour).T,
        Comparisons(
            first, second, cells.labels[drawn], model[:, first, second].T, second_half[drawn]
        ),
        n - n // 2,
    )


def solve_sample(
    problem: Problem, drawn: Sample, thresholds: Array, tau: float, confidence: float
) -> DualSolution:
    """The problem at thresholds (K-1,) as somebody solves it who has nothing but the sampled comparisons.

    Weights are counts of equal comparisons here, so their number is known and sets the radius.

    Raises:
        InfeasibleThresholdsError: no policy's bounds meet the thresholds on this dataset.
        NotConvergedError: some do, and none with complementary slackness: the dataset is too small.
    """
    level = each_level(confidence, len(thresholds))
    return solve_dual(
        drawn.win_rates,
        thresholds,
        tau=tau,
        reference=problem.behaviour,
        epsilon=epsilon_for_confidence(drawn.second_half, level),
        comparisons=drawn.comparisons,
    )


def _cells(problem: Problem) -> Cells:
    size = len(problem.behaviour)
    first, second = (axis.ravel() for axis in np.indices((size, size)))
    outcomes = np.array(list(product((0.0, 1.0), repeat=problem.objectives)))
    chance = problem.preferences[:, first, second]
    labelled = [
        np.where(outcome[:, None] == 1, chance, 1 - chance).prod(axis=0) for outcome in outcomes
    ]
    probability = problem.behaviour[first] * problem.behaviour[second] * np.array(labelled)
    kept = probability.ravel() > 0
    repeats = len(outcomes)
    return Cells(
        np.tile(first, repeats)[kept],
        np.tile(second, repeats)[kept],
        np.repeat(outcomes, len(first), axis=0)[kept],
        probability.ravel()[kept] / probability.sum(),
    )
