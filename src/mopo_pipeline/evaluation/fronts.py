"""Exact fronts of two objectives over enumerated answers."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from mopo_pipeline.mopo import InfeasibleThresholdsError, solve_dual

Array = NDArray[np.float64]
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
    programme = _Programme(win_rates, reference, groups, floors)
    low = programme.best(y)
    if low is None:
        return []
    high = programme.best(x)
    assert high is not None
    # Among equally good ends, take the one that does not waste the other objective.
    start = programme.best(x, {y: low[y]})
    stop = programme.best(y, {x: high[x]})
    left = start[x] if start is not None else low[x]
    right = stop[x] if stop is not None else high[x]
    front = []
    for bound in np.linspace(left, right, points):
        values = programme.best(y, {x: float(bound)})
        if values is not None:
            front.append((float(values[x]), float(values[y])))
    return front


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
    """What problem (1) reaches with ``y`` as its primary while the threshold on ``x`` moves.

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
    best = _Programme(win_rates, reference, groups, floors).best(x)
    assert best is not None
    top = float(loose[1] + 0.97 * (best[x] - loose[1]))
    front = [(float(loose[1]), float(loose[0]))]
    for bound in np.linspace(float(loose[1]), top, points)[1:]:
        values = solve(float(bound))
        if values is not None:
            front.append((float(values[1]), float(values[0])))
    return front


class _Programme:
    """Policies over the rows, each prompt's mass kept, with lower bounds on some objectives."""

    def __init__(
        self, win_rates: Array, reference: Array, groups: NDArray[np.intp], floors: dict[int, float]
    ) -> None:
        keep = reference > 0
        codes = np.unique(groups[keep], return_inverse=True)[1]
        n = len(codes)
        self.values = win_rates[keep]
        self.equal = csr_matrix((np.ones(n), (codes, np.arange(n))))
        self.mass = np.bincount(codes, weights=reference[keep])
        self.floors = floors

    def best(self, objective: int, also: dict[int, float] | None = None) -> Array | None:
        """Values (K,) of a policy that maximises one objective; None where there is none."""
        floors = self.floors | {k: v - 1e-9 for k, v in (also or {}).items()}
        bounds = -np.array([self.values[:, k] for k in floors]) if floors else None
        found = linprog(
            -self.values[:, objective],
            A_ub=bounds,
            b_ub=-np.array(list(floors.values())) if floors else None,
            A_eq=self.equal,
            b_eq=self.mass,
            bounds=(0, None),
            method="highs",
        )
        return None if found.x is None else np.asarray(found.x @ self.values)
