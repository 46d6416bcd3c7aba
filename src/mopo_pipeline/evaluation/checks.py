"""Were the thresholds held: every estimator beside every other, and what to worry about."""

from typing import Any

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.intervals import Interval
from mopo_pipeline.evaluation.values import EXACT, value_rows
from mopo_pipeline.mopo.diagnosis import Finding, Severity

PREFERENCE = ("exact", "rules", "reward_models", "preference_model", "doubly_robust")
"""Estimators, most trusted first."""


def best_estimator(objective_values: pd.DataFrame) -> str | None:
    """The most trusted estimator that says something about the policy; None where none does."""
    present = set(objective_values.loc[objective_values["policy"] == "policy", "estimator"])
    return next((name for name in PREFERENCE if name in present), None)


def threshold_checks(objective_values: pd.DataFrame, plan: dict[str, Any]) -> pd.DataFrame:
    """One row per objective, and per estimator its value, interval and whether it is held.

    ``<estimator>_held`` says that the value reaches the threshold; null for the primary, which has
    none.
    """
    names = plan["objectives"]
    table = pd.DataFrame(
        {
            "objective": names,
            "role": ["primary", *["constrained"] * (len(names) - 1)],
            "threshold": [plan["thresholds"].get(name, np.nan) for name in names],
        }
    )
    own = objective_values.loc[objective_values["policy"] == "policy"]
    for estimator in (e for e in PREFERENCE if e in set(own["estimator"])):
        part = own.loc[own["estimator"] == estimator].set_index("objective").reindex(names)
        for column in ("value", "ci_low", "ci_high"):
            table[f"{estimator}_{column}"] = part[column].to_numpy(dtype=np.float64)
        held = [
            None if np.isnan(b) or np.isnan(v) else bool(v >= b)
            for v, b in zip(table[f"{estimator}_value"], table["threshold"], strict=True)
        ]
        table[f"{estimator}_held"] = pd.array(held, dtype="boolean")
    return table


def exact_rows(exact: dict[str, Any], objectives: tuple[str, ...]) -> pd.DataFrame:
    """The exact values of both models as rows of ``objective_values``; none where unknown."""
    parts = []
    for policy in ("reference", "policy"):
        if exact.get(policy) is None:
            continue
        columns = [
            np.array([exact[policy][name][key] for name in objectives], dtype=np.float64)
            for key in ("value", "se", "ci_low", "ci_high")
        ]
        parts.append(value_rows(policy, EXACT, objectives, Interval(*columns)))
    return pd.concat(parts, ignore_index=True) if parts else value_rows_empty()


def value_rows_empty() -> pd.DataFrame:
    """``objective_values`` without rows, columns typed."""
    numbers = dict.fromkeys(("value", "se", "ci_low", "ci_high"), pd.Series(dtype=np.float64))
    texts = dict.fromkeys(("policy", "objective", "estimator"), pd.Series(dtype=str))
    return pd.DataFrame(texts | numbers)


def evaluation_summary(
    completions: pd.DataFrame,
    checks: pd.DataFrame,
    judge_metrics: dict[str, Any],
    doubly_robust: dict[str, Any],
    exact: dict[str, Any],
    rules: str,
) -> dict[str, Any]:
    """Facts about the sampled answers that no single objective shows, with findings.

    KL is the mean log-probability difference of the policy's own samples (nats per response):
    unbiased, so it may fall slightly below 0 by chance where both models agree.
    """
    groups = {
        name: completions.loc[completions["policy"] == name] for name in ("reference", "policy")
    }
    own = groups["policy"]
    gap = (own["logprob_policy"] - own["logprob_reference"]).to_numpy(dtype=np.float64)
    per_prompt = own.assign(gap=gap).groupby("prompt_id")["gap"].mean()
    facts: dict[str, Any] = {
        "prompts": int(completions["prompt_id"].nunique()),
        "samples_per_prompt": int(own.groupby("prompt_id").size().max()),
        "kl_to_reference": float(per_prompt.mean()),
        "kl_to_reference_se": float(per_prompt.sem()) if len(per_prompt) > 1 else None,
        "estimator": next((e for e in PREFERENCE if f"{e}_value" in checks), None),
        "well_formed": {name: well_formed_share(part, rules) for name, part in groups.items()},
        "tokens": {name: float(part["n_tokens"].mean()) for name, part in groups.items()},
        "words": {
            name: float(part["completion"].str.split().str.len().mean())
            for name, part in groups.items()
        },
        "distinct_share": {name: distinct_share(part) for name, part in groups.items()},
        "entropy": {name: -float(part[f"logprob_{name}"].mean()) for name, part in groups.items()},
        "empty_share": {
            name: float((part["completion"].str.strip() == "").mean())
            for name, part in groups.items()
        },
        "judge": {k: v for k, v in judge_metrics.items() if k != "findings"},
        "doubly_robust": doubly_robust,
        "exact_well_formed": exact.get("well_formed"),
    }
    facts["length_drift"] = facts["tokens"]["policy"] - facts["tokens"]["reference"]
    facts["findings"] = [*judge_metrics["findings"], *diagnose_policy(facts, checks)]
    return facts


def well_formed_share(completions: pd.DataFrame, rules: str) -> float | None:
    """Share of answers the pocket task's grammar accepts; None for tasks without a grammar."""
    if rules != "pocket":
        return None
    from mopo_pipeline.judges.pocket import PocketRules

    return float(
        PocketRules.well_formed(
            completions["prompt"].tolist(), completions["completion"].tolist()
        ).mean()
    )


def distinct_share(completions: pd.DataFrame) -> float:
    """Mean over prompts of the share of samples that differ from each other, in (0, 1]."""
    groups = completions.groupby("prompt_id")["completion"]
    return float((groups.nunique() / groups.size()).mean())


def diagnose_policy(facts: dict[str, Any], checks: pd.DataFrame) -> list[dict[str, Any]]:
    """What a user must be told about the trained policy, each with a remedy (method.md, section 7)."""
    findings: list[Finding] = []

    def tell(
        name: str, value: float, limit: float, remedy: str, severity: Severity = "warning"
    ) -> None:
        findings.append(Finding(name, float(value), limit, remedy, severity))

    if abs(facts["kl_to_reference"]) < 0.01:
        tell("policy did not move", facts["kl_to_reference"], 0.01,
             "the KL to the reference is near 0: train longer, raise the learning rate or lower "
             "plan.tau")  # fmt: skip
    reference, policy = facts["entropy"]["reference"], facts["entropy"]["policy"]
    if policy < 0.1 * reference:
        tell("policy collapsed", policy, round(0.1 * reference, 3),
             "the policy repeats itself: raise plan.tau or train fewer steps")  # fmt: skip
    share = facts["well_formed"]["policy"]
    if share is not None and share < 0.95:
        tell("malformed answers", share, 0.95,
             "over-optimisation takes the form first: train the reference longer or raise plan.tau")  # fmt: skip
    if facts["empty_share"]["policy"] > 0.05:
        tell("empty answers", facts["empty_share"]["policy"], 0.05,
             "the policy often says nothing: check the data for empty responses or raise plan.tau")  # fmt: skip
    ratio = facts["tokens"]["policy"] / max(facts["tokens"]["reference"], 1e-9)
    if not 0.5 <= ratio <= 2.0:
        tell("length drift", ratio, 2.0 if ratio > 2.0 else 0.5,
             "answers changed length by more than a factor of two: look at the samples; if that is not "
             "meant, add brevity as a constrained objective", "info")  # fmt: skip
    ess = facts["doubly_robust"]["ess"]
    if ess is not None and ess < 0.05:
        tell("thin doubly robust estimate", ess, 0.05,
             "few held-out responses carry the estimate: trust judged generations more, or raise "
             "plan.tau")  # fmt: skip
    if facts["estimator"] is not None:
        findings += _missed(checks, facts["estimator"])
    return [finding.as_dict() for finding in findings]


def _missed(checks: pd.DataFrame, estimator: str) -> list[Finding]:
    missed = checks.loc[(checks[f"{estimator}_held"] == False).fillna(False)]  # noqa: E712
    findings = []
    for _, row in missed.iterrows():
        chance = row[f"{estimator}_ci_high"] >= row["threshold"]
        remedy = (
            "the interval reaches the threshold, so this may be chance: evaluate on more prompts or "
            "raise plan.confidence"
            if chance
            else "train longer, raise plan.confidence or lower the threshold"
        )
        findings.append(
            Finding(
                f"threshold missed: {row['objective']}", float(row[f"{estimator}_value"]),
                float(row["threshold"]), remedy, "info" if chance else "warning",
            )
        )  # fmt: skip
    return findings
