"""Exact fronts of two objectives over enumerated answers."""

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual
from mopo_pipeline.pareto import true_front_at

Front = list[tuple[float, float]]


def unregularised_front(
    win_rates: Array,
    reference: Array,
    groups: NDArray[np.intp],
    x: int,
    y: int,
    floors: dict[int, float],
    points: int,
) -> Front:
    """Best value of objective ``y`` for values of objective ``x``, over all policies.

    A linear programme per point: maximise ``G_y`` subject to ``G_x >= b`` and ``G_k >= floor_k``,
    over policies supported by the rows (prompts weigh what the reference gives them).

    Args:
        win_rates: (N, K) exact win rates.
        reference: (N,) mass, positive where an answer may be given.
        groups: (N,) prompt of each row.
        x: objective on the horizontal axis.
        y: objective on the vertical axis.
        floors: values the other objectives must keep.
        points: how many values of ``x`` are solved for, >= 2.

    Returns:
        (G_x, G_y) from the y-best to the x-best end; empty where the floors cannot be kept.
    """
    best = _Best(win_rates, reference, groups, floors)
    ends = best.of(y), best.of(x)
    if ends[0] is None or ends[1] is None:
        return []
    # Among equally good ends, take the one that does not waste the other objective.
    start = best.of(x, {y: ends[0][y]}) or ends[0]
    stop = best.of(y, {x: ends[1][x]}) or ends[1]
    found = [best.of(y, {x: float(b)}) for b in np.linspace(start[x], stop[x], points)]
    return [(values[x], values[y]) for values in found if values is not None]


def regularised_front(
    win_rates: Array,
    reference: Array,
    groups: NDArray[np.intp],
    x: int,
    y: int,
    floors: dict[int, float],
    points: int,
    tau: float,
) -> Front:
    """What problem (1) on win rates (N, K) reaches with ``y`` as its primary while the threshold on ``x`` moves.

    Same arguments as ``unregularised_front`` with the KL temperature ``tau``; starts where the
    threshold on ``x`` no longer binds.
    """
    others = sorted(floors)
    table = win_rates[:, [y, x, *others]]
    base = [floors[k] for k in others]

    def solve(bound: float) -> Array | None:
        try:
            found = solve_dual(
                table, np.array([bound, *base]), tau=tau, reference=reference, groups=groups
            )
        except InfeasibleThresholdsError:
            return None
        return np.asarray(found.values)

    loose = solve(0.0)
    if loose is None:
        return []
    furthest = _Best(win_rates, reference, groups, floors).of(x)
    reach = loose[1] if furthest is None else furthest[x]
    top = float(loose[1] + 0.97 * (reach - loose[1]))
    front = [(float(loose[1]), float(loose[0]))]
    for bound in np.linspace(float(loose[1]), top, points)[1:]:
        values = solve(float(bound))
        if values is not None:
            front.append((float(values[1]), float(values[0])))
    return front


class _Best:
    """The best value of one objective under floors on others, by win rates (N, K): a linear programme each."""

    def __init__(
        self, win_rates: Array, reference: Array, groups: NDArray[np.intp], floors: dict[int, float]
    ) -> None:
        self.win_rates, self.reference, self.groups = win_rates, reference, groups
        self.floors = floors

    def of(self, objective: int, also: dict[int, float] | None = None) -> list[float] | None:
        """Values (K,) of a policy that maximises an objective; None where the floors forbid it."""
        floors = self.floors | {k: v - 1e-9 for k, v in (also or {}).items()}
        try:
            _, policy = true_front_at(
                self.win_rates[:, [objective, *floors]],
                list(floors.values()),
                reference=self.reference,
                groups=self.groups,
            )
        except InputError:
            return None
        codes = np.unique(self.groups, return_inverse=True)[1]
        mass = np.bincount(codes, weights=self.reference)[codes] / self.reference.sum()
        return [float(v) for v in (policy * mass) @ self.win_rates]
