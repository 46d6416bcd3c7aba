"""Whether the judge of a front can tell its policies apart, by what it made of test labels, and whose values they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.judge_quality import blindness, doubt
from mopo_pipeline.evaluation.label_bias import MIN_CARRIED
from mopo_pipeline.evaluation.rows import LABELS
from mopo_pipeline.fronts.candidates import MOPO
from mopo_pipeline.fronts.jobs import DONE
from mopo_pipeline.mopo import Finding

FOLDER = Path("07_model_output")
JUDGE = "preference_model"
"""Of every front on data whose answers' worth is not known."""

BY_THE_JUDGE = (
    "Who is ahead, and what is missed, rests on it: label more, or name a judge that can tell"
)
BY_LABELS = (
    "Values are those of the test labels instead, within each prompt: they see how a policy chooses among the data's answers, "
    "not what it says anew"
)


def judge_findings(points: pd.DataFrame, objectives: Sequence[str]) -> list[Finding]:
    """Findings for objectives on which the judge of these values cannot be believed, or labels put more points below.

    Args:
        points: ``front_points``; the runs of ours left beside their policies what their judge made of test labels.
        objectives: K of them, the primary first.
    """
    ours = points.loc[(points["method"] == MOPO) & (points["status"] == DONE)]
    quality = _quality(ours["folder"])
    labelled = bool((ours["estimator"] == LABELS).all())
    found = []
    for objective in objectives if quality else ():
        own = quality.get(objective)
        asked = ours.get(f"threshold_{objective}", pd.Series(dtype=float)).dropna()
        blind = blindness(own, float(asked.max()) if len(asked) else float("nan"))
        reason = blind.said if blind else doubt(own)
        if reason:
            seen = (blind.value, blind.limit) if blind else (0.0, 0.0)
            remedy = f"{reason}. {BY_LABELS if labelled else BY_THE_JUDGE}"
            found.append(Finding(f"judge of the front cannot tell: {objective}", *seen, remedy))
        if len(asked) and not labelled:
            found += _by_labels(ours, objective)
    return found + (_far_from_labels(points) if labelled else [])


def _far_from_labels(points: pd.DataFrame) -> list[Finding]:
    """Policies that say mostly what no labelled answer stands for, by method."""
    done = points.loc[points["status"] == DONE]
    far = done.loc[done["carried"] < MIN_CARRIED]
    if far.empty:
        return []
    told = ", ".join(f"{n} of {method}" for method, n in far["method"].value_counts().items())
    remedy = (
        f"of {told} the policy's mass within a prompt amounts to as little as {far['carried'].min():.0%} of its labelled answers, "
        f"a certificate asks for {MIN_CARRIED:.0%}: such values may be too high; label more answers to a prompt, or let "
        "policies stay nearer to the reference"
    )
    return [
        Finding(
            "values by a few labelled answers", float(far["carried"].min()), MIN_CARRIED, remedy
        )
    ]


def _quality(folders: pd.Series) -> dict[str, Any]:
    """What the judge made of test labels, by objective; empty where no run asked it."""
    for folder in folders:
        place = Path(folder) / FOLDER / "judge_quality.json"
        if place.is_file():
            judged = json.loads(place.read_text(encoding="utf-8")).get(JUDGE)
            return dict(judged["objectives"]) if judged else {}
    return {}


def _by_labels(ours: pd.DataFrame, objective: str) -> list[Finding]:
    """That labels within prompts put more points below their threshold than the judge does; nothing where they do not."""
    threshold = ours[f"threshold_{objective}"]
    said = ours["folder"].map(lambda folder: _labelled(Path(folder), objective))
    spoken = said.notna() & threshold.notna()
    below = int((said < threshold)[spoken].sum())
    judged = int((ours[f"value_{objective}"] < threshold)[spoken].sum())
    if below <= judged:
        return []
    remedy = (
        f"by labels within prompts {below} of {int(spoken.sum())} points lie below their threshold, by the judge {judged}: "
        "each point's own table of thresholds has both, with intervals; label more where they do not decide"
    )
    return [
        Finding(
            f"labels miss more than the judge: {objective}", float(below), float(judged), remedy
        )
    ]


def _labelled(folder: Path, objective: str) -> float:
    """Value of a run's policy by labels within prompts; NaN where these say nothing."""
    place = folder / FOLDER / "objective_values.parquet"
    if not place.is_file():
        return float("nan")
    table = pd.read_parquet(place).set_index(["policy", "objective", "estimator"])["value"]
    return float(table.get(("policy", objective, LABELS), float("nan")))
