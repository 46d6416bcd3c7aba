"""Every threshold by every estimator: verdicts, doubts, and who is believed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluated import NAMES, PLAN, checked, estimate, facts, judge
from mopo_pipeline.evaluation.checks import best_estimator, exact_rows, threshold_checks
from mopo_pipeline.evaluation.findings import diagnose_policy
from mopo_pipeline.evaluation.rows import no_values


def test_a_threshold_has_the_verdict_of_its_own_value_and_interval() -> None:
    found = checked(estimate("exact", [0.6, 0.52, 0.43])).set_index("objective")
    assert found["exact_verdict"].to_dict() == {"help": "", "harm": "held", "short": "missed"}
    noisy = checked(estimate("exact", [0.6, 0.52, 0.43], half=0.05)).set_index("objective")
    assert noisy["exact_verdict"].to_dict() == {
        "help": "",
        "harm": "held, within noise",
        "short": "missed, within noise",
    }


def test_only_the_policy_is_checked_and_objectives_keep_their_rows() -> None:
    values = estimate("rules", [0.6, 0.52, 0.43]).sample(frac=1.0, random_state=0)
    found = checked(values)
    assert list(found["objective"]) == NAMES
    np.testing.assert_allclose(found["rules_value"], [0.6, 0.52, 0.43])
    assert found["role"].tolist() == ["primary", "constrained", "constrained"]


def test_prompts_and_level_stand_beside_every_interval() -> None:
    found = checked(estimate("rules", [0.6, 0.52, 0.43]), estimate("labels", [0.6] * 3))
    for estimator in ("rules", "labels"):
        assert (found[f"{estimator}_n"] == 40).all()
        assert (found[f"{estimator}_level"] == 0.95).all()


@pytest.mark.parametrize("estimator", ["doubly_robust", "labels"])
def test_below_thirty_effective_comparisons_there_is_no_verdict(estimator: str) -> None:
    few = checked(estimate(estimator, [0.6, 0.52, 0.43], effective=12.4))
    assert (
        few[f"{estimator}_verdict"].tolist()[1:]
        == ["undecided: 12 effective comparisons, 30 needed"] * 2
    )
    assert best_estimator(few) is None
    enough = checked(estimate(estimator, [0.6, 0.52, 0.43], effective=30.0))
    assert enough[f"{estimator}_verdict"].tolist()[1:] == ["held", "missed"]
    assert best_estimator(enough) == estimator


def test_the_most_trusted_estimator_that_says_something_is_believed() -> None:
    exact, rules, model, robust, labels = (
        estimate(
            name,
            [0.6, 0.52, 0.43],
            effective=100.0 if name in ("doubly_robust", "labels") else np.nan,
        )
        for name in ("exact", "rules", "preference_model", "doubly_robust", "labels")
    )
    assert best_estimator(checked(labels, robust, model, rules, exact)) == "exact"
    assert best_estimator(checked(labels, robust, model, rules)) == "rules"
    assert best_estimator(checked(labels, robust, model)) == "preference_model"
    assert best_estimator(checked(labels, robust)) == "doubly_robust"
    unknown = robust.assign(value=robust["value"].where(robust["objective"] != "short"))
    assert best_estimator(checked(labels, unknown)) == "labels"
    unbounded = robust.assign(ci_low=np.nan, ci_high=np.nan)
    assert best_estimator(checked(labels, unbounded)) == "labels"
    assert best_estimator(threshold_checks(no_values(), PLAN, {})) is None


KNOWN = {
    "clipped": 0.0, "mean_ratio": 1.0, "mean_ratio_low": 0.98, "labelled_per_prompt": 12.0,
    "drawn": dict.fromkeys(NAMES, 0.0), "carried": dict.fromkeys(NAMES, 1.0),
}  # fmt: skip
"""Facts of estimates from labels in which nothing is wrong."""


@pytest.mark.parametrize(
    ("estimator", "wrong", "said"),
    [
        ("doubly_robust", {"clipped": 0.4}, "40% of the ratios clipped"),
        ("doubly_robust", {"mean_ratio_low": 1.6}, "data not drawn by the reference"),
        ("doubly_robust", {"mean_ratio": 0.7}, "30% of what the policy says lies beyond"),
        ("labels", {"labelled_per_prompt": 2.0}, "2 labelled answers per prompt"),
        ("labels", {"carried": {"help": 0.1, "harm": 0.3, "short": 0.9}}, "30% of a prompt's"),
        ("labels", {"drawn": {"help": 0.2, "harm": 0.0, "short": 0.05}}, "by 0.050 or more"),
    ],
)
def test_a_verdict_from_labels_of_another_policy_carries_its_caveat(
    estimator: str, wrong: dict[str, Any], said: str
) -> None:
    values = estimate(estimator, [0.6, 0.52, 0.48], effective=200.0)
    fine = threshold_checks(values, PLAN, {}, KNOWN)
    assert fine[f"{estimator}_doubt"].tolist() == ["", "", ""]
    doubted = threshold_checks(values, PLAN, {}, KNOWN | wrong)
    assert all(said in text for text in doubted[f"{estimator}_doubt"])
    assert doubted[f"{estimator}_verdict"].tolist() == ["", "held", "held"]
    told = diagnose_policy(facts(estimator=estimator), doubted)
    assert not [finding.name for finding in told if finding.name.startswith("judge")]
    unknown = dict.fromkeys(("clipped", "mean_ratio", "mean_ratio_low"))
    few = threshold_checks(values, PLAN, {}, KNOWN | unknown)
    assert few[f"{estimator}_doubt"].tolist() == ["", "", ""]


def test_a_judge_that_labels_do_not_support_is_doubted_by_objective() -> None:
    judges = {"rules": judge()}
    judges["rules"]["objectives"]["harm"] = judge(comparisons=8, accuracy=0.17)["objectives"][
        "harm"
    ]
    found = checked(estimate("rules", [0.6, 0.52, 0.5]), judges=judges)
    assert found["rules_doubt"].tolist() == ["", "judge right in 17% of 8 comparisons", ""]
    nobody = checked(estimate("rules", [0.6, 0.52, 0.5]), judges={})
    assert (nobody["rules_doubt"] == "judge never held against labels").all()
    sure = checked(estimate("exact", [0.6, 0.52, 0.5]), judges={})
    assert (sure["exact_doubt"] == "").all()


def test_checks_are_the_same_once_saved_and_read(tmp_path: Path) -> None:
    made = checked(
        estimate("exact", [0.6, 0.52, 0.43]), estimate("labels", [0.6] * 3, effective=3.0)
    )
    made.to_parquet(tmp_path / "checks.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "checks.parquet"), made)


def test_exact_values_of_both_models_are_rows_and_unknown_ones_are_none() -> None:
    entry = {"value": 0.6, "se": 0.01, "ci_low": None, "ci_high": 0.62, "n": 1, "freedom": None}
    known = {"level": 0.9, "reference": None, "policy": {"help": entry, "harm": entry}}
    found = exact_rows(known, ("help", "harm"))
    assert found["policy"].tolist() == ["policy", "policy"]
    assert found["ci_low"].isna().all()
    assert found[["n", "level"]].to_numpy().tolist() == [[1.0, 0.9]] * 2
    assert exact_rows({"reference": None, "policy": None, "level": None}, ("help",)).empty
