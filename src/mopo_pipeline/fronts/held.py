"""Thresholds asked for beside values attained."""

from typing import Any

import numpy as np
import pandas as pd


def attained(points: pd.DataFrame, objectives: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every threshold asked for beside what was attained."""
    rows = []
    for _, row in points.loc[points["status"] == "done"].iterrows():
        for name in objectives[1:]:
            threshold = row[f"threshold_{name}"]
            if np.isfinite(threshold):
                rows.append(
                    {
                        "method": row["method"],
                        "point": row["point"],
                        "seed": int(row["seed"]),
                        "objective": name,
                        "threshold": float(threshold),
                        "value": float(row[f"value_{name}"]),
                        "low": _known(row[f"low_{name}"]),
                        "high": _known(row[f"high_{name}"]),
                        "above": float(row[f"value_{name}"] - threshold),
                    }
                )
    return rows


def violations(done: pd.DataFrame, objectives: tuple[str, ...]) -> dict[str, float | None]:
    """Shares of the points with thresholds that miss one, that are certified, and of those certified that miss one."""
    names = [n for n in objectives[1:] if f"threshold_{n}" in done]
    asked = done.loc[done[[f"threshold_{n}" for n in names]].notna().any(axis=1)]
    if asked.empty:
        return {"violation_rate": None, "certified_share": None, "certified_violated": None}
    missed = np.zeros(len(asked), dtype=bool)
    for name in names:
        missed |= (asked[f"value_{name}"] < asked[f"threshold_{name}"]).to_numpy()
    certified = (asked["certified"] == "certified").to_numpy()
    can = (asked["certified"] != "").any()
    return {
        "violation_rate": float(missed.mean()),
        "certified_share": float(certified.mean()) if can else None,
        "certified_violated": float(missed[certified].mean()) if certified.any() else None,
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
