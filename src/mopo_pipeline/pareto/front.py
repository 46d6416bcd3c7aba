"""The true front of a problem whose win rates are known: a linear programme per threshold.

The values of all policies form a polytope (per prompt the hull of the win-rate vectors, averaged
over prompts); its Pareto part at thresholds b is ``max G_0  s.t.  G_k >= b_k``.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.dominance import non_dominated
from mopo_pipeline.pareto.points import check_points, check_vector


def true_front_at(
    win_rates: ArrayLike,
    thresholds: ArrayLike,
    *,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Best primary win rate under thresholds, without KL penalty, by one linear programme.

    Args:
        win_rates: (N, K), column 0 the primary.
        thresholds: (K-1,).
        reference: (N,) mass >= 0; a prompt weighs the mass of its rows; rows without are excluded.
        groups: (N,) integer prompt ids; None is one prompt.

    Returns:
        Values (K,) of an optimal policy, and its probabilities (N,), sum 1 within each prompt.

    Raises:
        InputError: no policy meets the thresholds, or shapes do not agree.

    >>> values, policy = true_front_at([[1, 0], [0, 1]], [0.25])
    >>> values.tolist(), policy.tolist()
    ([0.75, 0.25], [0.75, 0.25])
    """
    array = check_points("win_rates", win_rates)
    n_rows, n_objectives = array.shape
    asked = check_vector("thresholds", thresholds, n_objectives - 1)
    mass = np.ones(n_rows) if reference is None else check_vector("reference", reference, n_rows)
    ids = np.zeros(n_rows, dtype=int) if groups is None else np.asarray(groups)
    kept = np.flatnonzero(mass > 0)
    _, index = np.unique(ids[kept], return_inverse=True)
    weight = np.bincount(index, mass[kept])
    weighted = array[kept] * (weight / weight.sum())[index][:, None]
    simplices = csr_matrix((np.ones(len(kept)), (index, np.arange(len(kept)))))
    found = linprog(  # type: ignore[call-overload] # the stubs know no sparse matrices
        -weighted[:, 0],
        A_ub=-weighted[:, 1:].T if n_objectives > 1 else None,
        b_ub=-asked if n_objectives > 1 else None,
        A_eq=simplices,
        b_eq=np.ones(len(weight)),
        method="highs",
    )
    if not found.success:
        raise InputError(f"no policy meets the thresholds {asked.tolist()}: {found.message}")
    policy = np.zeros(n_rows)
    policy[kept] = found.x
    return found.x @ weighted, policy


def true_front(
    win_rates: ArrayLike,
    *,
    reference: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    points: int = 41,
) -> Array:
    """Points along the Pareto front, by sweeping thresholds over a grid.

    Args:
        win_rates: (N, K), K >= 2.
        reference: (N,) mass >= 0.
        groups: (N,) integer prompt ids.
        points: grid points per constrained objective.

    Returns:
        (m, K) non-dominated values, sorted by the constrained objectives.

    >>> true_front([[1, 0], [0, 1]], points=3).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    array = check_points("win_rates", win_rates)
    if array.shape[1] < 2:
        raise InputError(f"a front needs two objectives, got win_rates of shape {array.shape}")
    axes = []
    for k in range(1, array.shape[1]):
        alone = np.column_stack([array[:, k], array[:, 0]])
        high = true_front_at(alone, [-1.0], reference=reference, groups=groups)[0][0]
        low = -true_front_at(-alone, [-2.0], reference=reference, groups=groups)[0][0]
        axes.append(np.linspace(low, high, points))
    found = []
    for thresholds in np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)):
        try:
            found.append(
                true_front_at(array, thresholds - 1e-10, reference=reference, groups=groups)[0]
            )
        except InputError:
            continue
    front = np.unique(np.round(np.array(found, dtype=float), 9), axis=0)
    front = front[non_dominated(front)]
    return front[np.lexsort(front.T[::-1][:-1])]
