"""Estimators that contradict each other, and which of them to trust."""

import pandas as pd

from mopo_pipeline.evaluation.checks import PREFERENCE
from mopo_pipeline.evaluation.judge_scale import MIN_COMPARISONS
from mopo_pipeline.mopo.diagnosis.findings import Finding

RESOLUTION = 1e-3
"""Values closer than the digits that are shown do not disagree."""


def disagreements(checks: pd.DataFrame, believed: str | None = None) -> list[Finding]:
    """Estimators whose interval and that of a more direct one exclude each other's value.

    Each estimator is set against the first it disagrees with: that which verdicts rest on where nothing makes it
    doubtful, then the most direct. One that is not to be trusted itself is no witness against others, nor are
    estimates without an interval, or with too few effective comparisons.

    Args:
        checks: every threshold by every estimator.
        believed: the estimator that verdicts rest on; None where there is none.
    """
    estimators = [e for e in PREFERENCE if f"{e}_value" in checks]
    findings = []
    for _, row in checks.iterrows():
        able = [e for e in estimators if _speaks(row, e)]
        if believed in able and not row[f"{believed}_doubt"]:
            able.sort(key=lambda e: e != believed)
        refuted: set[str] = set()
        for place, other in enumerate(able):
            before = [e for e in able[:place] if e not in refuted]
            one = next((e for e in before if _disagree(row, e, other)), None)
            if one is None:
                continue
            trusted, left = _trust(row, one, other)
            refuted.add(left)
            value = float(row[f"{left}_value"])
            findings.append(
                Finding(
                    f"estimators disagree: {row['objective']}, {one} and {other}",
                    value,
                    _nearest(row, trusted, value),
                    f"{_said(row, one)}, {_said(row, other)}: {_advice(row, trusted, left, believed)}",
                )
            )
    return findings


def _trust(row: pd.Series, one: str, other: str) -> tuple[str, str]:
    """Which of two estimators to trust, ``one`` being the first of them, and which not."""
    doubtful = row[f"{one}_doubt"] and not row[f"{other}_doubt"]
    return (other, one) if doubtful else (one, other)


def _advice(row: pd.Series, trusted: str, left: str, believed: str | None) -> str:
    if row[f"{trusted}_doubt"]:
        return f"trust neither ({row[f'{trusted}_doubt']}); label more test comparisons"
    doubt = row[f"{left}_doubt"]
    reason = (
        "the verdict rests on it" if trusted == believed else f"{trusted} measures more directly"
    )
    because = f"of {left}: {doubt}" if doubt else reason
    return f"trust {trusted} ({because}), and find out why {left} differs"


def _speaks(row: pd.Series, estimator: str) -> bool:
    few = row[f"{estimator}_effective"] < MIN_COMPARISONS
    return bool(pd.notna(row[f"{estimator}_ci_low"]) and not few)


def _disagree(row: pd.Series, one: str, other: str) -> bool:
    apart = abs(row[f"{one}_value"] - row[f"{other}_value"]) > RESOLUTION
    return bool(apart and not _covers(row, one, other) and not _covers(row, other, one))


def _covers(row: pd.Series, estimator: str, other: str) -> bool:
    low, high = row[f"{estimator}_ci_low"], row[f"{estimator}_ci_high"]
    return bool(low <= row[f"{other}_value"] <= high)


def _nearest(row: pd.Series, trusted: str, value: float) -> float:
    """The end of the trusted interval that a value lies beyond, in [0, 1] to six digits."""
    end = "ci_high" if value > row[f"{trusted}_value"] else "ci_low"
    return round(float(row[f"{trusted}_{end}"]), 6)


def _said(row: pd.Series, estimator: str) -> str:
    value, low, high = (row[f"{estimator}_{c}"] for c in ("value", "ci_low", "ci_high"))
    return f"{estimator} says {value:.3f} [{low:.3f}, {high:.3f}]"
