"""Were the thresholds held: every estimator beside every other."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.judge_quality import MIN_COMPARISONS, doubt
from mopo_pipeline.evaluation.rows import EXACT, LABEL_BASED, no_values, value_rows
from mopo_pipeline.pareto.intervals import Interval
from mopo_pipeline.pareto.verdicts import UNDECIDED, verdict
from mopo_pipeline.plan.training_plan import TrainingPlan

PREFERENCE = (
    "exact", "rules", "reward_models", "preference_model", "doubly_robust", "labels",
)  # fmt: skip
"""Estimators, most trusted first."""

NUMBERS = ("value", "se", "ci_low", "ci_high", "n", "level", "effective")


def best_estimator(checks: pd.DataFrame) -> str | None:
    """The most trusted estimator that says something of every objective; None where none does.

    An estimate from labels needs enough effective comparisons and an interval for each.
    """
    return next((e for e in PREFERENCE if f"{e}_value" in checks and not missing(checks, e)), None)


def missing(checks: pd.DataFrame, estimator: str) -> str:
    """What an estimator lacks to say something of every objective; empty where nothing."""
    unknown = checks[f"{estimator}_value"].isna()
    if estimator in LABEL_BASED:
        effective = checks[f"{estimator}_effective"]
        if (few := checks.loc[~(effective >= MIN_COMPARISONS)]).size:
            count = few[f"{estimator}_effective"].fillna(0.0).iloc[0]
            return f"{count:.0f} effective comparisons of {few['objective'].iloc[0]}, {MIN_COMPARISONS} needed"
        unknown |= checks[f"{estimator}_ci_low"].isna()
    return f"no value of {checks.loc[unknown, 'objective'].iloc[0]}" if unknown.any() else ""


def threshold_checks(
    objective_values: pd.DataFrame, plan: TrainingPlan, judges: dict[str, Any]
) -> pd.DataFrame:
    """One row per objective, and per estimator its value, interval, verdict and what it rests on.

    Args:
        objective_values: values by policy, objective and estimator.
        plan: names the objectives, first the primary, and their thresholds.
        judges: ``judge_quality`` of every judge by name.

    Returns:
        objective, role, threshold, and per estimator ``<estimator>_value``, ``_se``, ``_ci_low``,
        ``_ci_high``, ``_n`` (prompts), ``_level``, ``_effective`` (comparisons, NaN where none
        limit it), ``_doubt`` (why its judge is doubtful, or empty) and ``_verdict``: one of the four
        of ``pareto.verdicts``, "undecided" with its reason, or empty for the primary.
    """
    names = list(plan.objectives)
    table = pd.DataFrame(
        {
            "objective": names,
            "role": ["primary", *["constrained"] * (len(names) - 1)],
            "threshold": [plan.thresholds.get(name, np.nan) for name in names],
        }
    )
    own = objective_values.loc[objective_values["policy"] == "policy"]
    for estimator in (e for e in PREFERENCE if e in set(own["estimator"])):
        part = own.loc[own["estimator"] == estimator].set_index("objective").reindex(names)
        for column in NUMBERS:
            table[f"{estimator}_{column}"] = part[column].to_numpy(dtype=np.float64)
        table[f"{estimator}_doubt"] = pd.Series(
            [_doubt(estimator, name, judges) for name in names], dtype="str"
        )
        table[f"{estimator}_verdict"] = pd.Series(
            [_verdict(row, estimator) for _, row in table.iterrows()], dtype="str"
        )
    return table


def exact_rows(exact: dict[str, Any], objectives: tuple[str, ...]) -> pd.DataFrame:
    """The exact values of both models as rows of ``objective_values``; none where unknown."""
    parts = []
    for policy in ("reference", "policy"):
        if exact.get(policy) is None:
            continue
        estimate, low, high, se, n = (
            np.array([exact[policy][name][key] for name in objectives], dtype=np.float64)
            for key in ("value", "ci_low", "ci_high", "se", "n")
        )
        interval = Interval(estimate, low, high, se, n, exact["level"])
        parts.append(value_rows(policy, EXACT, objectives, interval))
    return pd.concat(parts, ignore_index=True) if parts else no_values()


def _doubt(estimator: str, objective: str, judges: dict[str, Any]) -> str:
    if estimator == EXACT or estimator in LABEL_BASED:
        return ""
    return doubt(judges.get(estimator, {}).get("objectives", {}).get(objective))


def _verdict(row: pd.Series, estimator: str) -> str:
    """Empty without a threshold; undecided where too few comparisons carry the estimate."""
    if np.isnan(row["threshold"]):
        return ""
    if row[f"{estimator}_effective"] < MIN_COMPARISONS:
        return (
            f"{UNDECIDED}: {row[f'{estimator}_effective']:.0f} effective comparisons, "
            f"{MIN_COMPARISONS} needed"
        )
    value, low, high = (row[f"{estimator}_{column}"] for column in ("value", "ci_low", "ci_high"))
    return verdict(value, low, high, row["threshold"])
