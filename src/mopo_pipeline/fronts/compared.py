"""Which front has the greater hypervolume, how surely, and among points that have left the reference alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.fronts.candidates import MOPO
from mopo_pipeline.fronts.sets import Fronts, by_method_and_seed, mean_hypervolume, mean_over
from mopo_pipeline.pareto import hypervolume
from mopo_pipeline.streams import Stream, generator

DECIDED = 0.95
"""Probability from which a comparison is won, and below one less which it is lost."""

MOVED = 0.01
"""Nats per answer from which a method has left the reference."""


@dataclass(frozen=True)
class Asked:
    """How fronts are compared.

    Attributes:
        corner: every coordinate of the hypervolume's reference point.
        level: of the intervals, two-sided.
        draws: bootstrap replicates.
        seed: of the bootstrap.
        kl_budget: nats per answer; None takes the least of the methods' greatest.
    """

    corner: float
    level: float
    draws: int
    seed: int
    kl_budget: float | None = None


def compared(fronts: Fronts, asked: Asked) -> dict[str, Any]:
    """Hypervolume of every method with its interval, and the probability that each beats each.

    ``dominance[a][b]`` is the share of bootstrap replicates, of seeds and prompts, in which a's
    hypervolume is above b's, ties counting half. Both are means over the seeds drawn at which each has a
    point: a seed at which one of them failed says nothing of which is better.
    """
    corner = np.full(len(fronts.objectives), asked.corner)
    rng = generator(asked.seed, Stream.FRONT_VERDICT)
    drawn = np.array(
        [
            [
                [
                    np.nan if points is None else hypervolume(points, corner)
                    for points in replicate[m]
                ]
                for m in fronts.methods
            ]
            for replicate in fronts.replicates(asked.draws, rng)
        ]
    )
    tail = (1.0 - asked.level) / 2.0
    hypervolumes = {}
    for column, method in enumerate(fronts.methods):
        value = mean_hypervolume(list(fronts.means(method).values()), corner)
        own = drawn[:, column]
        means = mean_over(~np.isnan(own), own)
        known = means[~np.isnan(means)]
        low, high = np.quantile(known, [tail, 1.0 - tail]) if len(known) else (np.nan, np.nan)
        hypervolumes[method] = {
            "hypervolume": value,
            "hypervolume_low": _known(min(low, value)),
            "hypervolume_high": _known(max(high, value)),
        }
    dominance = {
        a: {b: _above(drawn[:, i], drawn[:, j]) for j, b in enumerate(fronts.methods) if i != j}
        for i, a in enumerate(fronts.methods)
    }
    return {"hypervolumes": hypervolumes, "dominance": dominance}


def standing(dominance: dict[str, dict[str, float | None]]) -> dict[str, str]:
    """Ours against each other method: win, tie or loss at ``DECIDED``.

    >>> standing({"mopo": {"a": 0.97, "b": 0.5, "c": 0.02}})
    {'a': 'win', 'b': 'tie', 'c': 'loss'}
    """
    said = {}
    for other, probability in dominance.get(MOPO, {}).items():
        if probability is None:
            continue
        won, lost = probability >= DECIDED, probability <= 1.0 - DECIDED
        said[other] = "win" if won else "loss" if lost else "tie"
    return said


def at_same_kl(
    points: pd.DataFrame, fronts: Fronts, asked: Asked
) -> tuple[float | None, dict[str, Any]]:
    """The comparison among points of at most one KL, the least of the methods' greatest.

    A method without a point so near is not in it: ``farther`` names it with its least KL. ``pairs`` holds ours against each
    other one up to the KL that both of them reach, with the probability that ours is above.
    """
    done = points.loc[points["status"] == "done"]
    greatest = done.groupby("method")["kl"].max()
    moved = greatest[greatest > MOVED]
    budget = asked.kl_budget if asked.kl_budget is not None else moved.min()
    if not np.isfinite(budget):
        return None, {}
    kept = _within(done, float(budget))
    found = compared(fronts.restricted(kept), asked)
    least = done.groupby("method")["kl"].min()
    return float(budget), found | {
        "points": {m: sum(map(len, of_seed.values())) for m, of_seed in kept.items()},
        "standing": standing(found["dominance"]),
        "within_noise": _within_noise(done, float(budget)),
        "farther": {m: float(least[m]) for m in fronts.methods if m not in kept},
        "pairs": {
            m: _pair(m, done, fronts, asked) for m in moved.index if MOPO in moved and m != MOPO
        },
    }


def _pair(other: str, done: pd.DataFrame, fronts: Fronts, asked: Asked) -> dict[str, float | None]:
    """Ours against another method among points of at most the KL that both reach; no probability where one has none so near."""
    both = done.loc[done["method"].isin([MOPO, other])]
    budget = float(both.groupby("method")["kl"].max().min())
    kept = _within(both, budget)
    found = compared(fronts.restricted(kept), asked)["dominance"] if len(kept) == 2 else {}
    return {"budget": budget, "probability": found.get(MOPO, {}).get(other)}


def _within(done: pd.DataFrame, budget: float) -> dict[str, dict[int, list[str]]]:
    """Points of at most this KL, by method and seed."""
    near = done.loc[done["kl"] <= budget + 1e-9]
    kept: dict[str, dict[int, list[str]]] = {}
    for method, seed, part in by_method_and_seed(near):
        kept.setdefault(method, {})[seed] = part["point"].tolist()
    return kept


def _within_noise(done: pd.DataFrame, budget: float) -> int:
    """Points that may lie on either side of a KL by their intervals, those left out that set it themselves."""
    if "kl_low" not in done:
        return 0
    apart = (done["kl"] - budget).abs() > 1e-9
    return int((apart & (done["kl_low"] <= budget) & (done["kl_high"] >= budget)).sum())


def _above(first: Array, second: Array) -> float | None:
    """Share of replicates in which the first (R, S) is above the second (R, S) over the seeds both have, ties counting half."""
    gap = mean_over(~(np.isnan(first) | np.isnan(second)), first - second)
    gap = gap[~np.isnan(gap)]
    if not len(gap):
        return None
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
