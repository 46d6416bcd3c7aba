"""What decides the next step of a run beyond its model: weights, reference, thresholds in force."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array


@dataclass(frozen=True)
class LagState:
    """Everything beyond the model that decides the next step; saved with every checkpoint.

    Attributes:
        weights: (N,) row weights, mean 1 over the active rows, 0 elsewhere.
        initial_logprob: (N,) log pi_ref0(y|x).
        lagged_logprob: (N,) of the current reference, where active.
        pending_logprob: (N,) of the policy at the last refresh, the reference after the next, where
            active then.
        multipliers: (K-1,).
        thresholds: (K-1,) in force.
        bounds: (K-1,) reached at the last solve.
        targets: (K-1,) judged values of what is trained towards.
        active: (N,) rows trained on until the next refresh.
        ess: effective share of rows left by the lagged reference's mass, 0 to 1.
        support: share of fresh responses like the data's own, 0 to 1; 1 offline.
        margin_share: share of what thresholds were to be raised by that the rows had room for, 0 to 1.
        refreshes: how often the reference moved.
        raised: (K-1,) what validation labels raised the thresholds by; empty before they did.
        unlabelled: (K-1,) how many periods held no label of an objective, so that its multiplier stayed; empty before any.
        moves: (T,) KL, nats, of what is planned: of the weights from the first reference, or one entry for each move of a
            reference that is drawn from anew.
        best: primary, a win rate, of the best look so far since which every look held all thresholds; -inf before one.
        stalled: looks in a row that held and gained nothing on it.
    """

    weights: Array
    initial_logprob: Array
    lagged_logprob: Array
    pending_logprob: Array
    multipliers: Array
    thresholds: Array
    bounds: Array
    targets: Array
    active: NDArray[np.bool_]
    ess: float = 1.0
    support: float = 1.0
    margin_share: float = 1.0
    refreshes: int = 0
    raised: Array = field(default_factory=lambda: np.zeros(0))
    unlabelled: Array = field(default_factory=lambda: np.zeros(0))
    moves: Array = field(default_factory=lambda: np.zeros(0))
    best: float = -np.inf
    stalled: int = 0

    @property
    def farthest(self) -> float:
        """KL, nats, from the first reference that the planned moves amount to where all go one way.

        Along a line it is the root of the KL that adds up; moves in different directions end nearer.

        >>> from dataclasses import replace
        >>> none = LagState(*[np.zeros(0)] * 8, np.zeros(0, dtype=bool))
        >>> none.farthest, round(replace(none, moves=np.array([0.1, 0.1])).farthest, 9)
        (0.0, 0.4)
        """
        return float(np.sqrt(np.maximum(self.moves, 0.0)).sum() ** 2)

    def arrays(self) -> dict[str, Array]:
        """All fields as float64 arrays, numbers as (1,), for safetensors."""
        return {
            name: np.atleast_1d(np.asarray(value, dtype=np.float64))
            for name, value in vars(self).items()
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> "LagState":
        """Rebuild from ``arrays``, numbers as (1,)."""
        fields: dict[str, Any] = dict(arrays)
        fields |= {
            name: float(arrays[name][0]) for name in ("ess", "support", "margin_share", "best")
        }
        fields["active"] = arrays["active"] > 0
        fields |= {name: int(arrays[name][0]) for name in ("refreshes", "stalled")}
        return cls(**fields)


def divergence(weights: Array, groups: NDArray[np.int64]) -> float:
    """KL, nats, from uniform rows of the policy that weights teach, the mean over prompts.

    Args:
        weights: (n,) >= 0.
        groups: (n,) prompt of each row; a prompt without weight says nothing.

    >>> round(divergence(np.array([1.0, 1.0, 2.0, 0.0]), np.array([0, 0, 1, 1])), 4)
    0.3466
    """
    _, codes = np.unique(groups, return_inverse=True)
    total, count = np.bincount(codes, weights), np.bincount(codes)
    kept = (weights > 0) & (total[codes] > 0)
    share = weights[kept] / total[codes[kept]]
    said = np.bincount(codes[kept], share * np.log(share * count[codes[kept]]), len(count))
    return float(said[total > 0].mean()) if (total > 0).any() else 0.0
