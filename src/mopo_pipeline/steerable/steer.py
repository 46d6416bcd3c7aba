"""From thresholds to what is said behind the prompt, without any training."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from scipy.optimize import linprog

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError

NEGLIGIBLE = 1e-9
"""Share of answers below which a point of the lattice is left out."""


def shares_for(values: Array, bounds: Array, thresholds: Array, names: Sequence[str] = ()) -> Array:
    """Shares (J,) of answers asked for at each measured point: the best primary that holds all thresholds.

    Drawing the point anew for every answer is itself a policy, and its values are the mean of the points', so that
    the best one is a linear programme; at most K points have a share.

    Args:
        values: (J, K) measured, the primary first.
        bounds: (J, K-1) what is sure of the constrained ones.
        thresholds: (K-1,).
        names: of the constrained objectives, for what is said.

    Raises:
        InputError: no mixture holds all thresholds; says which can be held together instead.
    """
    points = len(values)
    found = linprog(
        -values[:, 0], A_ub=-bounds.T, b_ub=-thresholds, A_eq=np.ones((1, points)), b_eq=[1.0]
    )
    if found.x is not None:
        shares = np.where(found.x > NEGLIGIBLE, found.x, 0.0)
        return np.asarray(shares / shares.sum())
    nearest = thresholds - least_given_way(bounds, thresholds)
    remedy = f"lowered alike, {_said(nearest, names)} can be held"
    if (nearest < 0.0).any():
        remedy = (
            "lowered alike they can be held below 0 alone, so that nothing is sure: ask for less of the highest, measure on more "
            "answers (steerable.answers) or train longer (steerable.trainings)"
        )
    raise InputError(
        f"thresholds {_said(thresholds, names)} are out of this policy's reach; {remedy}"
    )


def least_given_way(bounds: Array, thresholds: Array) -> float:
    """The least that all thresholds (K-1,) must be lowered by for a mixture of points to hold them by bounds (J, K-1)."""
    points = len(bounds)
    found = linprog(
        np.append(np.zeros(points), 1.0),
        A_ub=np.column_stack([-bounds.T, -np.ones(len(thresholds))]),
        b_ub=-thresholds,
        A_eq=np.append(np.ones(points), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[*[(0.0, None)] * points, (None, None)],
    )
    assert found.x is not None
    return float(found.x[-1])


def _said(numbers: Array, names: Sequence[str]) -> str:
    """Numbers (k,) to three digits, rounded down so that what can be held still can, behind their names where there are any."""
    said = [f"{np.floor(number * 1000 + 1e-9) / 1000:.3f}" for number in numbers]
    return ", ".join(
        f"{name} {text}".strip() for name, text in zip_longest(names, said, fillvalue="")
    )
