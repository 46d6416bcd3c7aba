"""What a user must be told about the trained policy, each with a remedy (method.md, section 7)."""

from typing import Any

import pandas as pd

from mopo_pipeline.evaluation.checks import PREFERENCE
from mopo_pipeline.evaluation.disagreements import disagreements
from mopo_pipeline.evaluation.judge_quality import (
    BLIND,
    DEPENDENT,
    UNCALIBRATED,
    blindness,
)
from mopo_pipeline.evaluation.judge_scale import MIN_COMPARISONS
from mopo_pipeline.evaluation.label_bias import MAX_CLIPPED, MAX_LOST, MAX_MEAN_RATIO
from mopo_pipeline.evaluation.reweighting import lost_share
from mopo_pipeline.evaluation.rows import DOUBLY_ROBUST, LABEL_BASED
from mopo_pipeline.language.lengths import MAX_CUT
from mopo_pipeline.language.reading import told_in_part
from mopo_pipeline.mopo.diagnosis.findings import Finding
from mopo_pipeline.pareto.verdicts import MISSED, MISSED_WITHIN_NOISE

MAX_MALFORMED = 0.05
MIN_KL = 0.01
MAX_KL_FACTOR = 4.0
"""Greatest factor between measured and planned KL. What can be gained grows with its root, so a policy beyond is twice
as far from the reference as planned, or not half as far."""
LEAST_KL = 0.05
"""KL, nats, below which a plan asks for so little that the noise of training is as large."""


def diagnose_policy(facts: dict[str, Any], checks: pd.DataFrame) -> list[Finding]:
    """Findings about the policy, its answers and those who judge them.

    Args:
        facts: of the evaluation summary.
        checks: every threshold by every estimator.
    """
    estimators = [e for e in PREFERENCE if f"{e}_value" in checks]
    findings = [*_answers(facts), *_kl_against_plan(facts), *_cut(facts["cut_share"])]
    findings += _withheld(facts["withheld_share"])
    for estimator in estimators:
        if estimator not in LABEL_BASED:
            findings += _doubtful(checks, estimator, facts["judges"])
        findings += _thin(checks, estimator)
    for judge, known in facts["judges"].items():
        findings += told_in_part(judge, known.get("read_in_part"))
    findings += _reweighted(facts["doubly_robust"])
    findings += disagreements(checks, facts["estimator"])
    if facts["estimator"] is not None:
        findings += _missed(checks, facts["estimator"])
    return findings


def _answers(facts: dict[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    kl = facts["kl_to_reference"]
    if abs(kl) < MIN_KL:
        findings.append(
            Finding(
                "policy did not move",
                kl,
                MIN_KL,
                "the KL to the reference is near 0: train longer, raise the learning rate or lower plan.tau",
            )
        )
    least = round(0.1 * facts["entropy"]["reference"], 3)
    if facts["entropy"]["policy"] < least:
        findings.append(
            Finding(
                "policy collapsed",
                facts["entropy"]["policy"],
                least,
                "the policy repeats itself: raise plan.tau or train fewer steps",
            )
        )
    share = facts["well_formed"]["policy"]
    if share is not None and share < 1.0 - MAX_MALFORMED:
        findings.append(
            Finding(
                "malformed answers",
                1.0 - share,
                MAX_MALFORMED,
                "this share of the answers has not the form the task asks for, and loses on every objective: "
                "over-optimisation takes the form first: train the reference longer or raise plan.tau",
            )
        )
    if facts["empty_share"]["policy"] > 0.05:
        findings.append(
            Finding(
                "empty answers",
                facts["empty_share"]["policy"],
                0.05,
                "the policy often says nothing: check the data for empty responses or raise plan.tau",
            )
        )
    ratio = facts["tokens"]["policy"] / max(facts["tokens"]["reference"], 1e-9)
    if not 0.5 <= ratio <= 2.0:
        findings.append(
            Finding(
                "length drift",
                ratio,
                2.0 if ratio > 2.0 else 0.5,
                "answers changed length by more than a factor of two: look at the samples; if that is not "
                "meant, add brevity as a constrained objective",
                "info",
            )
        )
    return findings


def _kl_against_plan(facts: dict[str, Any]) -> list[Finding]:
    """KL surely farther from the planned one than sampling and training leave it."""
    kl, planned = facts["kl_to_reference"], facts["kl_planned"]
    noise = 2.0 * (facts["kl_to_reference_se"] or 0.0)
    most = max(MAX_KL_FACTOR * max(planned, LEAST_KL), facts["kl_farthest"])
    least = planned / MAX_KL_FACTOR
    if kl - noise > most:
        return [
            Finding(
                "KL beyond the plan",
                kl,
                most,
                f"planned were {planned:.3g} nats, with every move in training {facts['kl_farthest']:.3g} at most: training "
                "went beyond its targets, where no label vouches for what is said; lower the learning rate or train fewer "
                "steps",
            )
        ]
    if planned >= LEAST_KL and abs(kl) >= MIN_KL and kl + noise < least:
        return [
            Finding(
                "KL short of the plan",
                kl,
                least,
                f"planned were {planned:.3g} nats, so the policy is not half way: train longer or raise the learning rate",
                "info",
            )
        ]
    return []


def _cut(shares: dict[str, float | None]) -> list[Finding]:
    return [
        Finding(
            f"answers cut: {name}",
            share,
            MAX_CUT,
            "the answers were judged unfinished: raise evaluate.sampling.max_new_tokens",
            "error",
        )
        for name, share in shares.items()
        if share is not None and share > MAX_CUT
    ]


def _withheld(shares: dict[str, float]) -> list[Finding]:
    return [
        Finding(
            f"answers held back: {name}",
            share,
            MAX_CUT,
            "a filter of the endpoint held them back, in whole or in part, and they were judged as they came: serve the "
            "model without this filter",
            "error" if share > MAX_CUT else "info",
        )
        for name, share in shares.items()
        if share
    ]


def _doubtful(checks: pd.DataFrame, estimator: str, judges: dict[str, Any]) -> list[Finding]:
    findings = []
    for _, row in checks.loc[checks[f"{estimator}_doubt"] != ""].iterrows():
        known = judges.get(estimator, {}).get("objectives", {}).get(row["objective"]) or {}
        name, value, limit = _doubt(row[f"{estimator}_doubt"], known, float(row["threshold"]))
        findings.append(
            Finding(
                f"{name}: {estimator}, {row['objective']}",
                value,
                limit,
                f"{row[f'{estimator}_doubt']}: its verdicts say little; {_REMEDIES[name]} or name another judge "
                "in evaluate.judges",
            )
        )
    return findings


_FEW, _CHANCE = "judge hardly held against labels", "judge not better than chance"
_REMEDIES = {
    _FEW: "label more test comparisons",
    _CHANCE: "label more test comparisons",
    BLIND: "believe the labels (doubly_robust, labels)",
    UNCALIBRATED: "label validation comparisons",
    DEPENDENT: "label validation comparisons of every objective",
}


def _doubt(said: str, known: dict[str, Any], threshold: float) -> tuple[str, float, float]:
    """What a doubt is called, the number seen and its limit."""
    blind = blindness(known or None, threshold)
    if blind is not None:
        return BLIND, blind.value, blind.limit
    if said == DEPENDENT:
        return DEPENDENT, 0.0, 1.0
    if said == UNCALIBRATED:
        return UNCALIBRATED, 0.0, float(MIN_COMPARISONS)
    count = known.get("comparisons", 0)
    if count < MIN_COMPARISONS:
        return _FEW, float(count), float(MIN_COMPARISONS)
    return _CHANCE, float(known["accuracy"]), 0.5


def _thin(checks: pd.DataFrame, estimator: str) -> list[Finding]:
    if estimator not in LABEL_BASED:
        return []
    least = checks.iloc[int(checks[f"{estimator}_effective"].argmin())]
    effective = float(least[f"{estimator}_effective"])
    if effective >= MIN_COMPARISONS:
        return []
    return [
        Finding(
            f"few effective comparisons: {estimator}, {least['objective']}",
            effective,
            float(MIN_COMPARISONS),
            "few test comparisons carry the estimate, so it gives no verdict: label more test "
            "prompts or raise plan.tau",
        )
    ]


def _reweighted(facts: dict[str, Any]) -> list[Finding]:
    findings = [
        Finding(
            f"estimate outside [0, 1]: {DOUBLY_ROBUST}, {name}",
            value,
            float(value > 1.0),
            "no win rate, so it is shown clipped and gives no verdict: its correction rests on too "
            "few comparisons; label more test prompts or lower evaluate.max_ratio",
        )
        for name, value in facts["outside"].items()
    ]
    if facts["mean_ratio_low"] is not None and facts["mean_ratio_low"] > MAX_MEAN_RATIO:
        findings.append(
            Finding(
                "data not drawn by the reference",
                facts["mean_ratio"],
                MAX_MEAN_RATIO,
                "the mean ratio of policy to reference over the data's answers is 1 if the reference drew them: label-based "
                "values are those of the data's answers re-weighted, and what the policy says of its own may be worth more or "
                "less; train the reference longer (reference.fit.epochs), or let it draw the answers (--env=sampled)",
            )
        )
    clipped, lost = facts["clipped"] or 0.0, lost_share(facts["mean_ratio"])
    if clipped > MAX_CLIPPED or lost > MAX_LOST:
        share, most = (lost, MAX_LOST) if lost > MAX_LOST else (clipped, MAX_CLIPPED)
        findings.append(
            Finding(
                f"ratios clipped: {DOUBLY_ROBUST}",
                share,
                most,
                "its value is that of a policy nearer to the data than this one: raise evaluate.max_ratio, "
                "or believe the estimate normalised within each prompt",
            )
        )
    return findings


def _missed(checks: pd.DataFrame, estimator: str) -> list[Finding]:
    findings = []
    for _, row in checks.iterrows():
        said = row[f"{estimator}_verdict"]
        if said not in (MISSED, MISSED_WITHIN_NOISE):
            continue
        chance = said == MISSED_WITHIN_NOISE
        remedy = (
            "the interval reaches the threshold, so this may be chance: evaluate on more prompts or "
            "raise plan.confidence"
            if chance
            else "train longer, raise plan.confidence or lower the threshold"
        )
        findings.append(
            Finding(
                f"threshold {said}: {row['objective']}",
                float(row[f"{estimator}_value"]),
                float(row["threshold"]),
                remedy,
                "info" if chance else "warning",
            )
        )
    return findings
