"""Were the thresholds held: every estimator beside every other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.judge_quality import blindness, doubt
from mopo_pipeline.evaluation.judge_scale import MIN_COMPARISONS
from mopo_pipeline.evaluation.label_bias import Labelled, bias
from mopo_pipeline.evaluation.rows import EXACT, LABEL_BASED, no_values, value_rows
from mopo_pipeline.pareto.intervals import Interval
from mopo_pipeline.pareto.verdicts import UNDECIDED, verdict
from mopo_pipeline.plan.training_plan import TrainingPlan

PREFERENCE = (
    "exact", "rules", "reward_models", "chat", "own", "preference_model", "doubly_robust", "labels",
)  # fmt: skip
"""Estimators, most trusted first."""

NUMBERS = ("value", "se", "ci_low", "ci_high", "n", "level", "effective", "freedom")

REACH = (
    "slope", "slope_low", "slope_high", "ceiling", "ceiling_low", "ceiling_high", "ceiling_labels",
)  # fmt: skip
"""What of a judge's reach stands beside its thresholds."""


def best_estimator(checks: pd.DataFrame) -> str | None:
    """The most trusted estimator that says something of every objective; None where none does.

    An estimate from labels needs enough effective comparisons and an interval for each. One that leaves a
    threshold undecided is taken only where all do.
    """
    usable = [e for e in PREFERENCE if f"{e}_value" in checks and not missing(checks, e)]
    return next((e for e in usable if _decides(checks, e)), usable[0] if usable else None)


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
    objective_values: pd.DataFrame,
    plan: TrainingPlan,
    judges: dict[str, Any],
    on_labels: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """One row per objective, and per estimator its value, interval, verdict and what it rests on.

    Args:
        objective_values: values by policy, objective and estimator.
        plan: names the objectives, first the primary, and their thresholds.
        judges: ``judge_quality`` of every judge by name.
        on_labels: facts about the estimates from labels; None where none are known.

    Returns:
        objective, role, threshold, and per estimator ``<estimator>_value``, ``_se``, ``_ci_low``,
        ``_ci_high``, ``_n`` (prompts), ``_level``, ``_effective`` (comparisons, NaN where none
        limit it), ``_freedom`` (degrees of freedom of the error), of judges ``_slope``, ``_ceiling`` and ``_ceiling_labels`` with ends
        (``judge_reach``, NaN unknown), ``_doubt`` (why its judge is doubtful or its labels speak of another policy, or empty)
        and ``_verdict``: one of the four of ``pareto.verdicts``, "undecided" with its reason (that of a
        judge that cannot tell is its doubt), or empty for the primary.
    """
    names = list(plan.objectives)
    table = pd.DataFrame(
        {
            "objective": names,
            "role": ["primary", *["constrained"] * (len(names) - 1)],
            "threshold": [plan.thresholds.get(name, np.nan) for name in names],
        }
    )
    labelled = None if on_labels is None else Labelled.of(on_labels, plan.constrained)
    own = objective_values.loc[objective_values["policy"] == "policy"]
    for estimator in (e for e in PREFERENCE if e in set(own["estimator"])):
        part = own.loc[own["estimator"] == estimator].set_index("objective").reindex(names)
        for column in NUMBERS:
            table[f"{estimator}_{column}"] = part[column].to_numpy(dtype=np.float64)
        known = judges.get(estimator, {}).get("objectives", {})
        if not _on_labels(estimator):
            for column in REACH:
                table[f"{estimator}_{column}"] = np.array(
                    [known.get(name, {}).get(column) for name in names], dtype=np.float64
                )
        blind = [
            blindness(known.get(row["objective"]), row["threshold"]) for _, row in table.iterrows()
        ]
        table[f"{estimator}_doubt"] = pd.Series(
            [
                found.said if found else _doubt(estimator, known.get(name), labelled)
                for name, found in zip(names, blind, strict=True)
            ],
            dtype="str",
        )
        table[f"{estimator}_verdict"] = pd.Series(
            [
                _verdict(row, estimator, found is not None)
                for (_, row), found in zip(table.iterrows(), blind, strict=True)
            ],
            dtype="str",
        )
    return table


def exact_rows(exact: dict[str, Any], objectives: tuple[str, ...]) -> pd.DataFrame:
    """The exact values of both models as rows of ``objective_values``; none where unknown."""
    parts = []
    for policy in ("reference", "policy"):
        if exact.get(policy) is None:
            continue
        estimate, low, high, se, n, freedom = (
            np.array([exact[policy][name][key] for name in objectives], dtype=np.float64)
            for key in ("value", "ci_low", "ci_high", "se", "n", "freedom")
        )
        interval = Interval(estimate, low, high, se, n, exact["level"], freedom)
        parts.append(value_rows(policy, EXACT, objectives, interval))
    return pd.concat(parts, ignore_index=True) if parts else no_values()


def _decides(checks: pd.DataFrame, estimator: str) -> bool:
    return not checks[f"{estimator}_verdict"].str.startswith(UNDECIDED).any()


def _on_labels(estimator: str) -> bool:
    return estimator == EXACT or estimator in LABEL_BASED


def _doubt(estimator: str, quality: dict[str, Any] | None, labelled: Labelled | None) -> str:
    if _on_labels(estimator):
        return "" if labelled is None else bias(estimator, labelled).said
    return doubt(quality)


def _verdict(row: pd.Series, estimator: str, blind: bool) -> str:
    """Empty without a threshold; undecided where too few comparisons carry the estimate or the judge is blind."""
    if np.isnan(row["threshold"]):
        return ""
    if blind:
        return UNDECIDED
    if row[f"{estimator}_effective"] < MIN_COMPARISONS:
        return (
            f"{UNDECIDED}: {row[f'{estimator}_effective']:.0f} effective comparisons, "
            f"{MIN_COMPARISONS} needed"
        )
    value, low, high = (row[f"{estimator}_{column}"] for column in ("value", "ci_low", "ci_high"))
    return verdict(value, low, high, row["threshold"])
