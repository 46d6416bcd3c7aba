"""What a reader of fronts must be told."""

import pandas as pd

from mopo_pipeline.fronts.sets import Fronts
from mopo_pipeline.mopo import Finding
from mopo_pipeline.pareto import non_dominated
from mopo_pipeline.pareto.bounds import MIN_PROMPTS


def front_findings(points: pd.DataFrame, fronts: Fronts, corner: float) -> list[Finding]:
    """Reference points inside a front, one seed or seeds apart, few prompts, and points that failed.

    Args:
        points: ``front_points``.
        fronts: those that are done.
        corner: every coordinate of the hypervolume's reference point.
    """
    found = []
    for method in fronts.methods:
        for array in fronts.means(method).values():
            lowest = float(array[non_dominated(array)].min())
            if lowest <= corner:
                found.append(
                    Finding(
                        f"reference point inside the front of {method}",
                        corner,
                        lowest,
                        "points below it add no hypervolume: lower front.hypervolume_reference, for all methods alike",
                    )
                )
                break
    if len(fronts.seeds) == 1:
        found.append(
            Finding(
                "one seed",
                1.0,
                3.0,
                "probabilities speak of these prompts alone, not of another training: name more in front.seeds",
            )
        )
    if (least := min(int(units.max()) + 1 for units in fronts.units.values())) < MIN_PROMPTS:
        found.append(
            Finding(
                "few test prompts",
                float(least),
                float(MIN_PROMPTS),
                "drawing so few again says little of others: intervals are too narrow, probabilities too near 0 and 1; add test "
                "prompts (ingest.split)",
            )
        )
    found += _by_other_estimators(points)
    found += _at_other_seeds(fronts)
    for method in points["method"].unique():
        failed = points.loc[(points["method"] == method) & (points["status"] == "failed")]
        if len(failed):
            found.append(
                Finding(
                    f"points of {method} failed",
                    float(len(failed)),
                    0.0,
                    f"the first, {failed['point'].iloc[0]}: {failed['reason'].iloc[0]}",
                )
            )
    return found


def _at_other_seeds(fronts: Fronts) -> list[Finding]:
    """Methods without a point at a seed that others have: their means are those of other seeds."""
    return [
        Finding(
            f"seeds with points of {method}",
            float(len(own)),
            float(len(fronts.seeds)),
            f"none at {', '.join(str(s) for s in fronts.seeds if s not in own)}: its hypervolume is the mean over its own "
            "seeds, probabilities are over those that both methods have; mend what failed there and run again",
        )
        for method in fronts.methods
        if len(own := fronts.means(method)) < len(fronts.seeds)
    ]


def _by_other_estimators(points: pd.DataFrame) -> list[Finding]:
    """That values of some seeds are those of labels, of others a judge's."""
    done = points.loc[points["status"] == "done"]
    used = sorted(done["estimator"].unique())
    if len(used) < 2:
        return []
    remedy = f"values of {' and '.join(used)} stand beside each other; name one for all seeds: front.estimator"
    return [Finding("seeds valued by different estimators", float(len(used)), 1.0, remedy)]
