"""What a certificate says: held or not at a joint level, on what evidence, and what would help."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mopo_pipeline.errors import InputError
from mopo_pipeline.pareto.verdicts import capitalised

CERTIFIED = "certified"
NOT_CERTIFIED = "not certified"
UNDECIDABLE = "undecidable"
NOTHING = "nothing to certify"

KINDS = {
    "exact": "exact",
    "rules": "rules",
    "doubly_robust": "labelled",
    "labels": "labelled",
    "reward_models": "reward models",
    "chat": "chat model",
    "own": "own judge",
    "preference_model": "judged",
}
"""What a certificate is called by the estimator it rests on, the most trusted first."""


@dataclass(frozen=True)
class ThresholdCertificate:
    """One threshold and what is known of it.

    Attributes:
        objective: its name.
        threshold: win rate asked for.
        value: estimate; None where there is none.
        se: its standard error over prompts.
        lower: lower bound at the level each threshold is held at, one-sided.
        upper: upper bound at the same level, one-sided.
        verdict: one of the four of ``pareto.verdicts``, or undecided.
        effective_comparisons: that carry the estimate; None where it rests on no labels.
        doubt: why its judge cannot be taken at its word; empty where it can.
        shortfall: win rate by which the lower bound misses the threshold; None where it does not.
        prompts_needed: test prompts, or groups of them, with which the next look would certify this value; None where no
            number would.
        certifiable: greatest threshold, to three digits, that the next look would certify.
        helps: what would help, one sentence each; empty where nothing is short.
    """

    objective: str
    threshold: float
    value: float | None
    se: float | None
    lower: float | None
    upper: float | None
    verdict: str
    effective_comparisons: float | None
    doubt: str
    shortfall: float | None
    prompts_needed: int | None
    certifiable: float | None
    helps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """Whether all thresholds hold, at a joint level, on prompts that steered nothing.

    Attributes:
        verdict: "certified", "not certified" or "undecidable"; "nothing to certify" where no objective has a threshold.
        reasons: why it is not certified; empty where it is.
        confidence: joint level of all looks at this test split that were asked at this one or more.
        look: which look this is, from 1; None where none was taken.
        looks: how many different looks the split has carried so far.
        joint: level of this look, one-sided, of all thresholds together.
        level: level of each threshold's bound, one-sided.
        estimator: it rests on; None where none could say.
        kind: "exact", "rules", "labelled", "reward models" or "judged".
        passed_over: more trusted estimators and why they could not say.
        prompts: test prompts.
        units: that were drawn one by one: the prompts, or the groups they come in; every error counts these.
        answers: judged answers of the policy, or labelled ones of the data; None where all are enumerated.
        comparisons: labelled test comparisons.
        thresholds: one entry each.
        assumed: what the verdict rests on and no number here shows.
        split: fingerprint of the test split.
        policy: fingerprint of the policy.
    """

    verdict: str
    reasons: tuple[str, ...]
    confidence: float
    look: int | None
    looks: int
    joint: float
    level: float
    estimator: str | None
    kind: str | None
    passed_over: tuple[str, ...]
    prompts: int
    units: int
    answers: int | None
    comparisons: int
    thresholds: tuple[ThresholdCertificate, ...]
    assumed: tuple[str, ...]
    split: str
    policy: str

    @property
    def certified(self) -> bool:
        """Whether there are thresholds, and all hold."""
        return self.verdict == CERTIFIED

    @property
    def open(self) -> bool:
        """Whether there are thresholds of which not all are known to hold."""
        return self.verdict not in (CERTIFIED, NOTHING)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        plain["thresholds"] = [
            asdict(entry) | {"helps": list(entry.helps)} for entry in self.thresholds
        ]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Certificate":
        """What ``to_json`` gave.

        Raises:
            InputError: a field is missing or unknown: the certificate is of another version.
        """
        _check_fields(cls, plain)
        for entry in plain["thresholds"]:
            _check_fields(ThresholdCertificate, entry)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in plain.items()
        }
        given["thresholds"] = tuple(
            ThresholdCertificate(**dict(entry) | {"helps": tuple(entry["helps"])})
            for entry in plain["thresholds"]
        )
        return cls(**given)


def headline(certificate: Certificate) -> str:
    """One line: the verdict, on what evidence, at which level.

    Where nothing can be decided, the first reason stands for the evidence.
    """
    if certificate.verdict == NOTHING:
        return f"{NOTHING}: no objective has a threshold"
    if certificate.verdict == UNDECIDABLE:
        return f"{certificate.verdict}: {certificate.reasons[0]}"
    grouped = certificate.units != certificate.prompts
    groups = f" in {certificate.units} groups" if grouped else ""
    number = f", look {certificate.look} at this test split" if certificate.look else ""
    return (
        f"{certificate.verdict} ({certificate.kind}) at {certificate.joint:.1%} joint confidence, "
        f"{certificate.prompts} test prompts{groups}{number}"
    )


def certificate_text(certificate: Certificate) -> str:
    """One paragraph for a card: the headline, what was reached, why it is not certified, what is assumed."""
    bounds = [
        f"{entry.objective} {entry.lower:.3f} of {entry.threshold:.3f}"
        for entry in certificate.thresholds
        if entry.lower is not None
    ]
    said = headline(certificate)
    if certificate.verdict == NOTHING:
        return f"{capitalised(said)}."
    reasons = [reason for reason in certificate.reasons if reason not in said]
    parts = [
        f"{capitalised(said)}.",
        f"Lower bounds, {certificate.level:.1%} one-sided each: {', '.join(bounds)}."
        if bounds
        else "",
        f"{'And' if len(reasons) < len(certificate.reasons) else 'Why'}: {'; '.join(reasons)}."
        if reasons
        else "",
        f"Assumed: {'; '.join(certificate.assumed)}." if certificate.assumed else "",
    ]
    return " ".join(part for part in parts if part)


def _check_fields(kind: type[Any], plain: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(kind)}
    if strange := sorted(known ^ set(plain)):
        raise InputError(
            f"certificate {'lacks' if strange[0] in known else 'has an unknown'} {strange[0]!r}: it was written by "
            "another version; run kedro run --from-nodes=evaluate.certify"
        )
