"""What goes wrong, told with the value seen, the limit, and what to change (method.md, section 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mopo_pipeline.arrays import Array

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing a user must be told.

    Attributes:
        name: what was found.
        value: what was seen.
        limit: what it was held against.
        remedy: what to change.
        severity: ``error`` where going on cannot help, ``warning`` where it may disappoint, ``info``
            where it only explains.
    """

    name: str
    value: float
    limit: float
    remedy: str
    severity: Severity = "warning"

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g} (limit {self.limit:.4g}); {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON; numbers that are not finite become None."""
        fields = asdict(self)
        for name in ("value", "limit"):
            fields[name] = fields[name] if np.isfinite(fields[name]) else None
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Finding":
        """What ``as_dict`` gave; numbers that were not finite come back as NaN."""
        numbers = {
            name: float("nan") if fields[name] is None else fields[name]
            for name in ("value", "limit")
        }
        return cls(**dict(fields) | numbers)


@dataclass(frozen=True)
class Limits:
    """Where each signature of failure begins.

    Attributes:
        min_ess: least effective share of rows, 0 to 1.
        min_support: least share of fresh responses that are like the data's own, 0 to 1.
        max_multiplier: greatest multiplier.
        max_growth: greatest factor between a multiplier's last value and its median so far.
        min_kl: least KL to the reference, nats, of a policy that has moved.
        min_entropy_share: least entropy, as a share of the first recorded one.
        max_chi_variation: greatest coefficient of variation of a bound's temperature.
        max_agreement: rank correlation from which objectives no longer conflict.
        max_weight_share: greatest share of the total weight on one row.
        max_gap: greatest duality gap, win rates.
        max_debiasing: greatest distance of a planned value above what the rows alone say, win rates.
        max_margin: greatest distance of a bound below its value, win rates.
        min_room: least distance of a threshold from what is attainable, as a share of the range.
    """

    min_ess: float = 0.05
    min_support: float = 0.9
    max_multiplier: float = 100.0
    max_growth: float = 10.0
    min_kl: float = 0.01
    min_entropy_share: float = 0.1
    max_chi_variation: float = 0.5
    max_agreement: float = 0.9
    max_weight_share: float = 0.05
    max_gap: float = 1e-6
    max_debiasing: float = 0.05
    max_margin: float = 0.05
    min_room: float = 0.05


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then the rest; otherwise in the order given."""
    return sorted(findings, key=lambda found: ("error", "warning", "info").index(found.severity))


def few_effective(ess: float, bar: Limits, severity: Severity = "error") -> list[Finding]:
    """A finding where the effective share of rows, 0 to 1, falls below its limit."""
    if ess >= bar.min_ess:
        return []
    return [
        Finding(
            "few effective rows",
            ess,
            bar.min_ess,
            "few rows carry the weight: raise plan.tau or train.lag.every, or draw fresh responses (train.lag.mode=fresh)",
            severity,
        )
    ]


def runaway(
    multipliers: Array, objectives: Sequence[str], bar: Limits, severity: Severity = "error"
) -> list[Finding]:
    """A finding per multiplier (K-1,) above its limit."""
    return [
        Finding(
            f"multiplier runs away: {name}",
            float(value),
            bar.max_multiplier,
            f"its threshold lies at the edge of what the rows can reach: lower plan.thresholds.{name}",
            severity,
        )
        for name, value in zip(objectives[1:], multipliers, strict=True)
        if not value <= bar.max_multiplier
    ]
