"""Who dominates whom: sets, indicators with intervals, thresholds asked against values attained, probabilities of winning."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.arrays import Array
from mopo_pipeline.fronts.compared import Asked, at_same_kl, compared, standing
from mopo_pipeline.fronts.findings import front_findings
from mopo_pipeline.fronts.held import attained, violations
from mopo_pipeline.fronts.sets import (
    Fronts,
    fronts_of,
    mean_hypervolume,
)
from mopo_pipeline.fronts.truth import Truth
from mopo_pipeline.pareto import (
    compare_sets,
    expected_utility,
    hypervolume,
    igd_plus,
    non_dominated,
)

ALIKE = 6
"""Digits of a win rate beyond which two policies are one, as the end of a soup and the expert it is."""

SENSITIVITY = (0.0, 0.1, 0.2, 0.3, 0.4)
"""Coordinates of other reference points, at which the order of the methods is looked at again."""


def front_report(
    points: pd.DataFrame,
    values: pd.DataFrame,
    objectives: tuple[str, ...],
    asked: Asked,
    truths: dict[int, Truth],
) -> dict[str, Any]:
    """Everything that is said of the fronts, JSON-ready; what is unknown is None.

    Args:
        points: ``front_points``.
        values: ``front_values``.
        objectives: K names, the primary first.
        asked: how they are compared.
        truths: what is known of the task, by seed; empty where nothing is.
    """
    fronts = fronts_of(points, values, objectives)
    names = {
        "objectives": [
            {"name": n, "role": "constrained" if k else "primary"} for k, n in enumerate(objectives)
        ]
    }
    head = names | {
        "level": asked.level,
        "hypervolume_reference": [asked.corner] * len(objectives),
        "seeds": list(fronts.seeds),
        "estimators": sorted(points.loc[points["status"] == "done", "estimator"].unique()),
    }
    whole = compared(fronts, asked)
    methods = {
        method: _method(method, points, fronts, asked, truths) | whole["hypervolumes"][method]
        for method in fronts.methods
    }
    budget, matched = at_same_kl(points, fronts, asked)
    return head | {
        "methods": methods,
        "dominance": whole["dominance"],
        "relations": relations(fronts),
        "standing": standing(whole["dominance"]),
        "without_points": _without_points(points, fronts),
        "non_dominated": together(fronts),
        "sensitivity": sensitivity(fronts),
        "matched_kl": {"budget": budget} | matched,
        "thresholds": attained(points, objectives),
        "findings": [found.as_dict() for found in front_findings(points, fronts, asked.corner)],
    }


def relations(fronts: Fronts) -> dict[str, dict[str, str]]:
    """How each method's set of points stands to each other one's: equal, better, worse or incomparable, by seed joined."""
    found: dict[str, dict[str, str]] = {}
    for a in fronts.methods:
        for b in fronts.methods:
            shared = [s for s in fronts.means(a) if s in fronts.means(b)]
            if a == b or not shared:
                continue
            said = {compare_sets(fronts.means(a)[s], fronts.means(b)[s]).value for s in shared}
            found.setdefault(a, {})[b] = said.pop() if len(said) == 1 else "differs by seed"
    return found


def together(fronts: Fronts) -> list[dict[str, Any]]:
    """Points that no point of any method dominates, seed by seed; the same policy under several methods stands under each."""
    kept = []
    for seed in fronts.seeds:
        rows = [
            (method, point, value)
            for method in fronts.methods
            for point, value in zip(
                fronts.points[method].get(seed, ()), fronts.means(method).get(seed, ()), strict=True
            )
        ]
        best = non_dominated(np.round([value for *_, value in rows], ALIKE), equals=True)
        kept += [
            {"method": method, "point": point, "seed": seed}
            for (method, point, _), stands in zip(rows, best, strict=True)
            if stands
        ]
    return kept


def sensitivity(fronts: Fronts) -> dict[str, Any]:
    """Hypervolumes at other reference points, and whether one method stays first, corners above which nobody has any left out."""
    rows, first = [], set(fronts.methods)
    for coordinate in SENSITIVITY:
        corner = np.full(len(fronts.objectives), coordinate)
        found = {
            m: mean_hypervolume(list(fronts.means(m).values()), corner) for m in fronts.methods
        }
        order = sorted(found, key=lambda m: -found[m])
        most = max(found.values())
        if most > 0.0:
            first &= {m for m in found if found[m] >= most * (1.0 - 1e-9)}
        rows.append({"reference": coordinate, "hypervolume": found, "order": order})
    return {"rows": rows, "first_stays": bool(first)}


def _without_points(points: pd.DataFrame, fronts: Fronts) -> dict[str, dict[str, int]]:
    """Methods that have no point to compare, with how many failed and were skipped."""
    left = points.loc[~points["method"].isin(fronts.methods)]
    return {
        str(method): {status: int((own == status).sum()) for status in ("failed", "skipped")}
        for method, own in left.groupby("method", sort=False)["status"]
    }


def _method(
    method: str, points: pd.DataFrame, fronts: Fronts, asked: Asked, truths: dict[int, Truth]
) -> dict[str, Any]:
    own = points.loc[points["method"] == method]
    done, means = own.loc[own["status"] == "done"], fronts.means(method)
    best = [
        fronts.points[method][seed][i]
        for seed, array in means.items()
        for i in np.flatnonzero(non_dominated(array, equals=True))
    ]
    counts = own["status"].value_counts()
    arrays = list(means.values())
    return {
        "kind": str(done["kind"].iloc[0]),
        "points": int(counts.get("done", 0)),
        "failed": int(counts.get("failed", 0)),
        "skipped": int(counts.get("skipped", 0)),
        "non_dominated": best,
        "expected_utility": float(np.mean([expected_utility(a) for a in arrays])),
        "spread": float(np.mean([np.linalg.norm(np.ptp(a, axis=0)) for a in arrays])),
        "kl_greatest": _known(done["kl"].max()),
        **violations(done, fronts.objectives),
        **_beside_truth(means, asked.corner, truths),
        "spent": {
            name: float(own[name].sum())
            for name in ("sequences", "generated_tokens", "judge_calls", "seconds")
        },
    }


def _beside_truth(
    means: dict[int, Array], corner: float, truths: dict[int, Truth]
) -> dict[str, float | None]:
    """IGD+ of values (M, K) to the exact regularised front, and hypervolume as a share of its and of its optima at the thresholds asked for."""
    known = [seed for seed in means if seed in truths]
    if not known:
        return {"igd_plus": None, "share_of_exact": None, "share_at_thresholds": None}

    def volume(array: Array) -> float:
        """Hypervolume of points (m, K)."""
        return hypervolume(array, np.full(array.shape[1], corner)) if len(array) else np.nan

    def share(of: list[Array]) -> float | None:
        """Mean ratio to fronts (m, K), a seed each."""
        ratios = [
            volume(means[s]) / exact if (exact := volume(front)) > 0 else np.nan
            for s, front in zip(known, of, strict=True)
        ]
        return _known(float(np.mean(ratios)))

    return {
        "igd_plus": float(np.mean([igd_plus(means[s], truths[s].front) for s in known])),
        "share_of_exact": share([truths[s].front for s in known]),
        "share_at_thresholds": share([truths[s].at_thresholds for s in known]),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
