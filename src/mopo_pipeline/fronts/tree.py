"""Who starts from whom: a tree of nearest neighbours that grows from the middle."""

import numpy as np

from mopo_pipeline.arrays import Array


def starts_of(values: Array) -> list[int | None]:
    """The point whose policy each of m points starts from; None for the one in the middle, which starts alone.

    The middle is the point with the least sum of distances; the tree is the shortest one that spans all
    points (Prim), so that every start lies as near as a start already trained can.

    Args:
        values: (m, K) planned win rates.

    >>> starts_of(np.array([[0.0], [1.0], [3.0]]))
    [1, None, 1]
    """
    distance = np.linalg.norm(values[:, None, :] - values[None, :, :], axis=2)
    middle = int(distance.sum(axis=1).argmin())
    starts: list[int | None] = [None] * len(values)
    inside = [middle]
    while len(inside) < len(values):
        outside = [i for i in range(len(values)) if i not in inside]
        near = distance[np.ix_(inside, outside)]
        row, column = np.unravel_index(int(near.argmin()), near.shape)
        starts[outside[int(column)]] = inside[int(row)]
        inside.append(outside[int(column)])
    return starts
