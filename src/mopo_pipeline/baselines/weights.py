"""Weights over objectives: the simplex on a lattice, and what its points are called."""

from collections.abc import Iterator

Weights = tuple[float, ...]


def lattice(objectives: int, divisions: int) -> tuple[Weights, ...]:
    """Weights that are multiples of 1/divisions and sum to 1, the primary's vertex first.

    >>> lattice(2, 2)
    ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))
    >>> len(lattice(3, 4))
    15
    """
    return tuple(
        tuple(part / divisions for part in parts) for parts in _compositions(divisions, objectives)
    )


def vertex(index: int, objectives: int) -> Weights:
    """All weight on one objective.

    >>> vertex(1, 3)
    (0.0, 1.0, 0.0)
    """
    return tuple(float(k == index) for k in range(objectives))


def point_name(weights: Weights) -> str:
    """What a point is called.

    >>> point_name((1 / 3, 2 / 3))
    'weights=0.3333,0.6667'
    """
    return "weights=" + ",".join(f"{w:.4g}" for w in weights)


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a total as ordered parts >= 0, the largest first part first."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
