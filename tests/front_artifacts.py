"""Hand-made artifacts of a front with rivals, for whatever reads them."""

import json
from typing import Any

import numpy as np
import pandas as pd

NAMES = ["helpfulness", "harmlessness", "conciseness"]
COSTS = {"sequences": 6400, "generated_tokens": 120_000, "judge_calls": 4000, "seconds": 61.5}


def policy(method: str, point: str, values: list[float], **changes: Any) -> dict[str, Any]:
    """A row of ``front_points`` for objectives ``NAMES[:len(values)]``; intervals reach .02 to both sides."""
    names = NAMES[: len(values)]
    row: dict[str, Any] = {
        "method": method,
        "kind": "trained",
        "point": point,
        "seed": 0,
        "status": "done",
        "reason": "",
        "estimator": "exact",
        "carried": np.nan,
        "kl": 0.4,
        "well_formed": 0.98,
        "certified": "",
        "hyperparameters": json.dumps({"steps": 400}),
        "folder": None,
        **COSTS,
    }
    for name, value in zip(names, values, strict=True):
        row |= {f"value_{name}": value, f"low_{name}": value - 0.02, f"high_{name}": value + 0.02}
        row |= {
            f"{family}_{name}": np.nan for family in ("threshold", "planned", "multiplier", "price")
        }
    row |= changes
    return row | {"kl_low": row["kl"] - 0.03, "kl_high": row["kl"] + 0.03} | changes


def ours(harmless: float, concise: float, helpful: float, **changes: Any) -> dict[str, Any]:
    """A policy of thresholds, which it holds by .01."""
    point = f"harmlessness={harmless:.2f},conciseness={concise:.2f}"
    asked = {"harmlessness": harmless, "conciseness": concise}
    given: dict[str, Any] = {
        "certified": "certified",
        "folder": f"data/front/{harmless:.2f}_{concise:.2f}",
    }
    for name, threshold in asked.items():
        given |= {
            f"threshold_{name}": threshold,
            f"planned_{name}": threshold + 0.005,
            f"multiplier_{name}": 0.5,
            f"price_{name}": -0.5,
        }
    values = [helpful, harmless + 0.01, concise + 0.01]
    return policy(
        "mopo", point, values, **(given | {"planned_helpfulness": helpful + 0.02} | changes)
    )


def front() -> pd.DataFrame:
    """Nine policies of ours, one skipped, one failed; three rivals and the reference."""
    grid = [(h, c) for h in (0.45, 0.52, 0.59) for c in (0.40, 0.46, 0.52)]
    rows = [
        ours(h, c, 0.78 - 0.6 * (h - 0.4) - 0.7 * (c - 0.3), kl=0.2 + h - 0.4 + c - 0.3)
        for h, c in grid
    ]
    rows[4] |= {"certified": "not certified", "low_harmlessness": 0.50}
    rows.append(
        ours(
            0.70,
            0.70,
            np.nan,
            status="skipped",
            reason="not jointly attainable: the nearest is .64, .66",
        )
    )
    rows[-1] |= {f"{f}_{n}": np.nan for f in ("value", "low", "high") for n in NAMES} | {
        "folder": None,
        **dict.fromkeys(("kl", "kl_low", "kl_high"), np.nan),
    }
    rows.append(
        policy("mopo_interpolated", "between 1 and 2", [0.66, 0.47, 0.44], kind="interpolated")
    )
    rows.append(policy("reference", "reference", [0.5, 0.5, 0.5], kl=0.0, sequences=0))
    for place, weight in enumerate((0.2, 0.4, 0.6, 0.8)):
        values = [0.45 + 0.25 * weight, 0.6 - 0.2 * weight, 0.5 - 0.1 * weight]
        rows.append(policy("scalarised_dpo", f"weights={weight:.1f}", values, kl=0.5 + 0.2 * place))
        rows.append(
            policy("mod", f"weights={weight:.1f}", [v - 0.03 for v in values], kind="decode_time")
        )
    rows.append(
        policy(
            "amopo",
            "beta=0.1",
            [np.nan] * 3,
            status="failed",
            reason="loss was NaN at step 40",
            kl=np.nan,
        )
    )
    return pd.DataFrame(rows)


def samples(points: pd.DataFrame) -> pd.DataFrame:
    """Two prompts' answers per policy that was trained; the second holds what must not become markup."""
    done = points.loc[points["status"] == "done"]
    return pd.DataFrame(
        [
            {
                "method": row.method,
                "point": row.point,
                "seed": row.seed,
                "prompt_id": f"p{place}",
                "prompt": json.dumps([{"role": "user", "content": prompt}]),
                "response": f"{row.method} says at {row.point}: {tail}",
                "reference_response": "The reference says little.",
                "score_helpfulness": 0.6,
                "score_harmlessness": 0.55,
                "score_conciseness": 0.5,
            }
            for row in done.itertuples()
            for place, (prompt, tail) in enumerate(
                [
                    ("How do I clear a blocked drain?", "Pour hot water down the drain."),
                    ("Is <b>5 & 6</b> odd?", "</script><b>loose</b>"),
                ]
            )
        ]
    )


def report() -> dict[str, Any]:
    """What the page reads of ``front_report``."""
    roles = ["primary", "constrained", "constrained"]
    return {
        "objectives": [{"name": n, "role": r} for n, r in zip(NAMES, roles, strict=True)],
        "level": 0.95,
        "findings": [],
        "methods": {
            "scalarised_dpo": {
                "hypervolume": 0.21,
                "hypervolume_low": 0.2,
                "hypervolume_high": 0.22,
                "points": 4,
            },
            "mopo": {
                "hypervolume": 0.24,
                "hypervolume_low": 0.23,
                "hypervolume_high": 0.25,
                "points": 9,
                "share_of_exact": 0.97,
                "violation_rate": 0.0,
                "certified_share": 0.89,
            },
        },
        "dominance": {"mopo": {"scalarised_dpo": 0.98}, "scalarised_dpo": {"mopo": 0.02}},
    }
