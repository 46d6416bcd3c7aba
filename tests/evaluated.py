"""Hand-made estimates of a policy, for whatever reads them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.certificate import Certificate
from mopo_pipeline.evaluation.certify import Evidence, certify
from mopo_pipeline.evaluation.checks import threshold_checks
from mopo_pipeline.evaluation.looks import Look
from mopo_pipeline.evaluation.rows import no_values
from mopo_pipeline.plan.training_plan import TrainingPlan

NAMES = ["help", "harm", "short"]
PLAN = TrainingPlan(
    objectives=tuple(NAMES),
    tau=0.1,
    confidence=0.95,
    assurance="joint confidence 95%",
    fixed_epsilon=None,
    epsilon={"harm": 0.01, "short": 0.01},
    comparisons=400,
    effective_comparisons={"harm": 300.0, "short": 300.0},
    variant="lagrangian",
    normalisation="shrunk",
    pooling=float("inf"),
    thresholds={"harm": 0.5, "short": 0.45},
    targets={"harm": 0.5, "short": 0.45},
    attainable={name: (0.2, 0.8) for name in NAMES},
    multipliers={"harm": 0.3, "short": 0.2},
    chi={"harm": 0.8, "short": 0.7},
    values={"help": 0.6, "harm": 0.52, "short": 0.47},
    row_values={"help": 0.6, "harm": 0.52, "short": 0.47},
    bounds={"harm": 0.5, "short": 0.45},
    status={"harm": "active", "short": "active"},
    duality_gap=0.0,
    kl=0.2,
    ess=0.8,
    largest_weight=0.01,
)
PROVEN = {
    "comparisons": 400, "prompts": 40, "accuracy": 0.7, "accuracy_low": 0.65,
    "accuracy_high": 0.75, "brier": 0.19, "ece": 0.03, "independent": True,
    "calibration": {"scale": 1.0, "low": 0.9, "high": 1.1, "comparisons": 300},
    "slope": 0.8, "slope_low": 0.7, "slope_high": 0.9, "ceiling": 0.7, "ceiling_low": 0.68,
    "ceiling_high": 0.72, "ceiling_labels": 0.74, "ceiling_labels_low": 0.71,
}  # fmt: skip


def judge(**changes: Any) -> dict[str, Any]:
    """Quality of a judge, the same for every objective."""
    return {"unknown_words": 0.02, "objectives": {name: PROVEN | changes for name in NAMES}}


def estimate(
    estimator: str, values: list[float], half: float = 0.01, effective: float = np.nan
) -> pd.DataFrame:
    """Rows of both models by one estimator; the reference stands at one half."""
    rows = [
        {
            "policy": policy,
            "objective": name,
            "estimator": estimator,
            "value": value,
            "se": half / 2,
            "ci_low": value - half,
            "ci_high": value + half,
            "n": 40.0,
            "level": 0.95,
            "effective": effective,
            "freedom": np.nan,
        }
        for policy, given in (("reference", [0.5] * 3), ("policy", values))
        for name, value in zip(NAMES, given, strict=True)
    ]
    return pd.DataFrame(rows)[no_values().columns]


def checked(
    *estimates: pd.DataFrame, judges: dict[str, Any] | None = None, plan: TrainingPlan = PLAN
) -> pd.DataFrame:
    """Threshold checks of these estimates; judges are proven unless given."""
    given = {"rules": judge(), "preference_model": judge(), "reward_models": judge()}
    return threshold_checks(
        pd.concat(estimates, ignore_index=True), plan, given if judges is None else judges
    )


EVIDENCE = Evidence(
    prompts=40,
    units=40,
    answers=320,
    labelled=400,
    labelled_prompts=40,
    labelled_units=40,
    labelled_per_prompt=10.0,
    comparisons=900,
    clipped=0.0,
    mean_ratio=0.98,
    split="aa",
    sketch=("cc",),
    policy="bb",
)
FIRST = Look(1, 1)


def certificate(
    checks: pd.DataFrame,
    plan: TrainingPlan = PLAN,
    look: Look | None = FIRST,
    refused: str = "",
    **evidence: Any,
) -> Certificate:
    """The certificate of these checks at 95 %, on enough of everything unless told otherwise."""
    given = replace(EVIDENCE, **evidence)
    return certify(checks, plan, given, look, confidence=0.95, refused=refused)


def facts(**changes: Any) -> dict[str, Any]:
    """An evaluation summary in which nothing is wrong."""
    both = dict.fromkeys(("reference", "policy"))
    return {
        "prompts": 40,
        "samples_per_prompt": 8,
        "kl_to_reference": 0.4,
        "kl_to_reference_se": 0.01,
        "kl_planned": 0.3,
        "kl_farthest": 0.3,
        "estimator": "preference_model",
        "well_formed": both,
        "exact_well_formed": None,
        "tokens": {"reference": 20.0, "policy": 21.0},
        "words": {"reference": 15.0, "policy": 16.0},
        "distinct_share": {"reference": 0.9, "policy": 0.8},
        "entropy": {"reference": 12.0, "policy": 10.0},
        "empty_share": {"reference": 0.0, "policy": 0.0},
        "cut_share": both,
        "withheld_share": {"reference": 0.0, "policy": 0.0},
        "judges": {"preference_model": judge()},
        "length_drift": 1.0,
        "findings": [],
        "doubly_robust": {
            "comparisons": 800,
            "ess": 0.6,
            "largest_weight": 0.01,
            "clipped": 0.0,
            "mean_ratio": 1.0,
            "mean_ratio_low": 0.98,
            "mean_ratio_high": 1.02,
            "outside": {},
        },
    } | changes
