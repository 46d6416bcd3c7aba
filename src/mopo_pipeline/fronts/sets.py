"""Fronts as arrays: what every point of every method is worth to every prompt, seed by seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.pareto import hypervolume

BySeed = Mapping[int, Array]
"""(M, P, K) win rates of M points to P prompts, by seed; P is the same for all methods of a seed."""
Units = Mapping[int, NDArray[np.intp]]
"""(P,) what each prompt was drawn with, coded from 0, by seed."""


@dataclass(frozen=True)
class Fronts:
    """Points of several methods that are done.

    Attributes:
        objectives: K names.
        values: by method and seed, (M, P, K).
        points: names of the M points, likewise.
        units: prompts drawn as one share a code.
    """

    objectives: tuple[str, ...]
    values: Mapping[str, BySeed]
    points: Mapping[str, Mapping[int, tuple[str, ...]]]
    units: Units

    @property
    def methods(self) -> tuple[str, ...]:
        """Names, in the order of the table."""
        return tuple(self.values)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all methods together."""
        return tuple(sorted({seed for of_seed in self.values.values() for seed in of_seed}))

    def means(self, method: str) -> dict[int, Array]:
        """Values (M, K) of a method's points, by seed."""
        return {seed: values.mean(axis=1) for seed, values in self.values[method].items()}

    def restricted(self, kept: Mapping[str, Mapping[int, list[str]]]) -> "Fronts":
        """Only these points; a method left with none is gone."""
        values: dict[str, dict[int, Array]] = {}
        points: dict[str, dict[int, tuple[str, ...]]] = {}
        for method, of_seed in self.values.items():
            for seed, array in of_seed.items():
                names = self.points[method][seed]
                rows = [i for i, n in enumerate(names) if n in kept.get(method, {}).get(seed, [])]
                if rows:
                    values.setdefault(method, {})[seed] = array[rows]
                    points.setdefault(method, {})[seed] = tuple(names[i] for i in rows)
        return replace(self, values=values, points=points)

    def replicates(
        self, draws: int, rng: np.random.Generator
    ) -> Iterator[dict[str, list[Array | None]]]:
        """Values (M, K) of every method with seeds, and prompts within each, drawn again; the same for all methods.

        Prompts that were drawn as one are drawn again as one. None stands where a method has no point at a seed that was drawn.
        """
        seeds = np.array(self.seeds)
        for _ in range(draws):
            drawn = rng.choice(seeds, size=len(seeds)) if len(seeds) > 1 else seeds
            shares = [drawn_shares(self.units[s], rng) for s in map(int, drawn)]
            yield {
                method: [
                    np.einsum("mpk,p->mk", of_seed[int(seed)], share)
                    if int(seed) in of_seed
                    else None
                    for seed, share in zip(drawn, shares, strict=True)
                ]
                for method, of_seed in self.values.items()
            }


def drawn_shares(units: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Weights (P,) with sum 1 of prompts whose units (P,) are drawn again with replacement."""
    count = int(units.max()) + 1
    times = rng.multinomial(count, np.full(count, 1.0 / count))[units].astype(np.float64)
    return np.asarray(times / times.sum())


def fronts_of(points: pd.DataFrame, values: pd.DataFrame, objectives: tuple[str, ...]) -> Fronts:
    """The points that are done, in the order in which they stand.

    Args:
        points: ``front_points``.
        values: ``front_values``.
        objectives: K names.
    """
    done = points.loc[points["status"] == "done"]
    arrays: dict[str, dict[int, Array]] = {}
    names: dict[str, dict[int, tuple[str, ...]]] = {}
    units: dict[int, NDArray[np.intp]] = {}
    for method, seed, part in by_method_and_seed(done):
        own = values.loc[(values["method"] == method) & (values["seed"] == seed)]
        found = tuple(part["point"])
        tables = dict(list(own.groupby("point", sort=False)))
        stacked = [tables[n][list(objectives)].to_numpy(dtype=np.float64) for n in found]
        arrays.setdefault(method, {})[seed] = np.stack(stacked)
        names.setdefault(method, {})[seed] = found
        units[seed] = pd.factorize(tables[found[0]]["unit"])[0]
    return Fronts(objectives, arrays, names, units)


def by_method_and_seed(points: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The rows of every method and seed, in the order in which they first stand."""
    for method in points["method"].unique():
        of_method = points.loc[points["method"] == method]
        for seed in of_method["seed"].unique():
            yield str(method), int(seed), of_method.loc[of_method["seed"] == seed]


def mean_over(known: NDArray[np.bool_], volumes: Array) -> Array:
    """Mean (R,) over those of S seeds (R, S) that are known; NaN where none is."""
    count = known.sum(axis=1)
    total = np.where(known, volumes, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


def mean_hypervolume(fronts: list[Array], corner: Array) -> float:
    """Hypervolume above ``corner`` (K,) of the fronts (M, K) of several seeds, averaged; NaN of none."""
    return float(np.mean([hypervolume(f, corner) for f in fronts])) if fronts else float("nan")
