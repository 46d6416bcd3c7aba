"""The training plan: what was asked, what was solved, how sure it is."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mopo_pipeline.arrays import Array
from mopo_pipeline.errors import InputError
from mopo_pipeline.mopo import Finding

Named = Mapping[str, float | None]
"""A number per objective; None where there is none (not finite)."""


@dataclass(frozen=True)
class TrainingPlan:
    """A solved problem by the names of its objectives.

    Attributes:
        objectives: K names, the primary first.
        tau: KL temperature.
        confidence: joint, one-sided, of all thresholds; None where nothing or a fixed radius assures them.
        assurance: how sure the thresholds are, in a phrase.
        fixed_epsilon: radius of the bounds where no confidence sets it; None where one does.
        epsilon: radius of each constrained objective's bound.
        comparisons: labelled pairs of the training split.
        effective_comparisons: independent comparisons as informative, by constrained objective.
        variant: of the dual: "lagrangian" or "log_barrier".
        normalisation: of the weights, as asked for.
        pooling: kappa of the weights; inf is one pool.
        thresholds: win rates asked of the constrained objectives.
        targets: win rates planned for, thresholds with their margins.
        attainable: low and high of each objective, win rates.
        multipliers: price of each target, >= 0.
        chi: temperature of each bound; None where the bound is the plain mean.
        values: win rates of the planned policy, all objectives.
        row_values: the same over the rows alone, neither debiased nor corrected.
        bounds: what is held against the targets.
        status: "active", "inactive" or "violated", by constrained objective.
        duality_gap: 0 at the optimum.
        kl: of the planned policy from the reference, nats.
        ess: effective share of the training rows, in (0, 1].
        largest_weight: share of the total weight on one row.
        findings: what a user must be told.
    """

    objectives: tuple[str, ...]
    tau: float
    confidence: float | None
    assurance: str
    fixed_epsilon: float | None
    epsilon: Named
    comparisons: int
    effective_comparisons: Named
    variant: str
    normalisation: str
    pooling: float
    thresholds: Named
    targets: Named
    attainable: Mapping[str, tuple[float, float]]
    multipliers: Named
    chi: Named
    values: Named
    row_values: Named
    bounds: Named
    status: Mapping[str, str]
    duality_gap: float
    kl: float
    ess: float
    largest_weight: float
    findings: tuple[Finding, ...] = ()

    @property
    def constrained(self) -> tuple[str, ...]:
        """The objectives that have a threshold."""
        return self.objectives[1:]

    @property
    def assured(self) -> bool:
        """Whether labels hold the thresholds at a confidence or a radius."""
        return self.confidence is not None or bool(self.fixed_epsilon)

    def margin(self, name: str) -> float:
        """How far a constrained objective's target lies above its threshold, win rate; 0 where either is unknown."""
        target, threshold = self.targets[name], self.thresholds[name]
        return 0.0 if target is None or threshold is None else target - threshold

    def of_constrained(self, numbers: Named) -> Array:
        """Numbers by name as an array (K-1,); NaN where there is none."""
        return np.array([numbers[name] for name in self.constrained], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON: an infinite ``pooling`` is None."""
        plain = asdict(self) | {
            "objectives": list(self.objectives),
            "pooling": self.pooling if math.isfinite(self.pooling) else None,
            "attainable": {name: list(ends) for name, ends in self.attainable.items()},
            "findings": [finding.as_dict() for finding in self.findings],
        }
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "TrainingPlan":
        """What ``to_json`` gave.

        Raises:
            InputError: a field is missing or unknown: the plan is of another version.
        """
        known = {field.name for field in fields(cls)}
        if strange := sorted(known ^ set(plain)):
            raise InputError(
                f"training_plan {'lacks' if strange[0] in known else 'has an unknown'} {strange[0]!r}: it was written by "
                "another version; run kedro run --pipelines=plan"
            )
        return cls(
            **dict(plain)
            | {
                "objectives": tuple(plain["objectives"]),
                "pooling": math.inf if plain["pooling"] is None else float(plain["pooling"]),
                "attainable": {n: (low, high) for n, (low, high) in plain["attainable"].items()},
                "findings": tuple(Finding.from_dict(found) for found in plain["findings"]),
            }
        )
