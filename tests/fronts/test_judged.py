"""A front valued by a judge that cannot tell says so, and what labels say of its thresholds."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mopo_pipeline.fronts.judged import judge_findings

ABLE: dict[str, Any] = {
    "comparisons": 400, "accuracy": 0.7, "accuracy_low": 0.64, "independent": True,
    "calibration": {"scale": 1.0, "low": 0.8, "high": 1.2, "comparisons": 300},
    "slope": 0.5, "slope_low": 0.4, "slope_high": 0.6,
    "ceiling": 0.7, "ceiling_low": 0.65, "ceiling_high": 0.75, "ceiling_labels": 0.7, "ceiling_labels_low": 0.6,
}  # fmt: skip
BLIND = ABLE | {"slope": 0.04, "slope_low": -0.01, "slope_high": 0.1}


def a_front(folder: Path, quality: dict[str, Any], labelled: float) -> pd.DataFrame:
    rows = []
    for i, threshold in enumerate((0.40, 0.50)):
        place = folder / str(i) / "07_model_output"
        place.mkdir(parents=True)
        judged = {"preference_model": {"objectives": {"good": ABLE, "brief": quality}}}
        (place / "judge_quality.json").write_text(json.dumps(judged))
        values = [
            ("policy", "brief", "labels", labelled),
            ("policy", "brief", "preference_model", 0.9),
        ]
        pd.DataFrame(values, columns=["policy", "objective", "estimator", "value"]).to_parquet(
            place / "objective_values.parquet"
        )
        row = {
            "method": "mopo",
            "status": "done",
            "estimator": "preference_model",
            "folder": str(place.parent),
            "threshold_brief": threshold,
        }
        rows.append(row)
    rows.append(
        {
            "method": "scalarised_dpo",
            "status": "done",
            "estimator": "preference_model",
            "folder": "",
            "threshold_brief": None,
            "value_brief": 0.1,
        }
    )
    return pd.DataFrame(rows)


def test_a_blind_judge_is_told_and_what_labels_say_of_the_thresholds(tmp_path: Path) -> None:
    blind, labels = judge_findings(a_front(tmp_path, BLIND, 0.45), ("good", "brief"))
    assert blind.name == "judge of the front cannot tell: brief"
    assert "one of 0.04 [-0.01, 0.10]" in blind.remedy
    assert labels.name == "labels miss more than the judge: brief"
    assert "1 of 2 points lie below their threshold, by the judge 0" in labels.remedy


def test_labels_are_told_of_beside_a_judge_that_can_tell_only_where_they_miss_more(
    tmp_path: Path,
) -> None:
    (found,) = judge_findings(a_front(tmp_path / "low", ABLE, 0.30), ("good", "brief"))
    assert (found.name, found.value) == ("labels miss more than the judge: brief", 2.0)
    points = a_front(tmp_path / "both", ABLE, 0.30).assign(value_brief=0.2)
    assert judge_findings(points, ("good", "brief")) == []
    assert judge_findings(a_front(tmp_path / "none", ABLE, float("nan")), ("good", "brief")) == []


def test_a_judge_that_can_tell_and_runs_without_one_are_not_told_of(tmp_path: Path) -> None:
    points = a_front(tmp_path, ABLE, 0.55)
    assert judge_findings(points, ("good", "brief")) == []
    for place in tmp_path.rglob("judge_quality.json"):
        place.unlink()
    assert judge_findings(points, ("good", "brief")) == []


def test_a_front_valued_by_labels_says_that_the_judge_could_not(tmp_path: Path) -> None:
    points = a_front(tmp_path, BLIND, 0.30).assign(estimator="labels", carried=0.6)
    (found,) = judge_findings(points, ("good", "brief"))
    assert found.name == "judge of the front cannot tell: brief"
    assert "Values are those of the test labels instead" in found.remedy
    points.loc[1, "carried"] = 0.3
    _, far = judge_findings(points, ("good", "brief"))
    assert (far.name, far.value, far.limit) == ("values by a few labelled answers", 0.3, 0.4)
    assert "1 of mopo" in far.remedy
