"""What is solved again whenever the reference moves."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mopo_pipeline.arrays import Array
from mopo_pipeline.mopo.comparisons import Comparisons


@dataclass(frozen=True)
class DualProblem:
    """What a refresh solves again.

    Attributes:
        objectives: K names, the primary first.
        win_rates: (N, K) of the training rows.
        groups: (N,) prompt of each row.
        thresholds: (K-1,) as planned.
        tau, epsilon, pooling, variant: as planned.
        comparisons: of the training rows, for the robust bound.
        multipliers, bounds, values: (K-1,) of the plan.
        confidence: of the plan, joint; None where a fixed epsilon replaced it, or nothing is sure.
        test_prompts: that the certificate will rest on; 0 aims at the thresholds alone.
        level: one-sided, at which each threshold is to be seen to hold on validation prompts, in [.5, 1).
        certificate_level: one-sided, of each threshold's bound in the certificate, in [.5, 1).
        judged: (N, K) what the judge of fresh responses says of the training rows; None where it says ``win_rates``.
    """

    objectives: tuple[str, ...]
    win_rates: Array
    groups: NDArray[np.int64]
    thresholds: Array
    tau: float
    epsilon: float
    pooling: float
    variant: str
    comparisons: Comparisons | None
    multipliers: Array
    bounds: Array
    values: Array
    confidence: float | None = None
    test_prompts: int = 0
    level: float = 0.5
    certificate_level: float = 0.5
    judged: Array | None = None

    def restricted(self, rows: NDArray[np.bool_]) -> "DualProblem":
        """The problem of some rows (N,), whole prompts, with the comparisons among them."""
        if rows.all():
            return self
        compared, place = self.comparisons, np.cumsum(rows) - 1
        if compared is not None:
            first, second = np.asarray(compared.first), np.asarray(compared.second)
            kept = rows[first] & rows[second]
            rest: dict[str, Any] = {
                name: None if value is None else np.asarray(value)[kept]
                for name, value in vars(compared).items()
                if name not in ("fold_win_rates", "clusters")
            }
            rest |= {"first": place[first[kept]], "second": place[second[kept]]}
            if compared.fold_win_rates is not None:
                rest["fold_win_rates"] = np.asarray(compared.fold_win_rates)[:, rows]
            if compared.clusters is not None:
                rest["clusters"] = np.asarray(compared.clusters)[rows]
            compared = Comparisons(**rest) if kept.any() else None
        lost = compared is None and self.comparisons is not None
        return replace(
            self,
            win_rates=self.win_rates[rows],
            groups=self.groups[rows],
            judged=None if self.judged is None else self.judged[rows],
            comparisons=compared,
            epsilon=0.0 if lost else self.epsilon,
            confidence=None if lost else self.confidence,
        )
