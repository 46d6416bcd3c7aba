"""From estimates to a certificate: all thresholds at a joint level, one look at a time (method.md, section 11)."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mopo_pipeline.evaluation.certificate import (
    CERTIFIED,
    KINDS,
    NOT_CERTIFIED,
    NOTHING,
    UNDECIDABLE,
    Certificate,
    ThresholdCertificate,
)
from mopo_pipeline.evaluation.certificate_help import (
    CONTRADICTED,
    assumptions,
    helps,
    labels_instead,
)
from mopo_pipeline.evaluation.checks import missing
from mopo_pipeline.evaluation.label_bias import Labelled, bias
from mopo_pipeline.evaluation.looks import Look
from mopo_pipeline.evaluation.rows import DOUBLY_ROBUST, LABEL_BASED, LABELS
from mopo_pipeline.mopo.confidence import each_level
from mopo_pipeline.pareto.bounds import MIN_PROMPTS, alpha_of_look, bounds, prompts_needed
from mopo_pipeline.pareto.verdicts import HELD, MISSED, UNDECIDED, verdict
from mopo_pipeline.plan.training_plan import TrainingPlan
from mopo_pipeline.sampling_units import drawn_as

EDGE = 1e-9
"""Win rate by which a bound may miss its threshold and still reach it: rounding."""


@dataclass(frozen=True)
class Evidence:
    """What lies behind the estimates.

    Attributes:
        prompts: test prompts that were asked.
        units: that were drawn one by one: the prompts, or the groups they come in.
        answers: of the policy, judged.
        labelled: responses of the test split that labels compare.
        labelled_prompts: that have any; labels speak of these, whichever were asked.
        labelled_units: that were drawn one by one.
        labelled_per_prompt: median over prompts, of the objective with the fewest; 0 without any.
        comparisons: labelled, of the test split.
        clipped: share of test responses whose ratio was clipped; None without any.
        mean_ratio: of the policy over the reference on test responses, clipped, at the lower end of its interval; 1 or
            less where the reference drew them. None where it is not known.
        split: fingerprint of the test split.
        sketch: hashes of some of its prompts.
        policy: fingerprint of the policy.
        elsewhere: whether another trainer made it, on what is not known here.
        divided: groups with prompts in several splits, so that test prompts are taken to be drawn one by one.
        lost: share of what the policy says that lies beyond ratios as they are seen and clipped: what their mean lacks of 1.
        drawn: win rate by which few answers a prompt drew an estimate from labels up towards 0.5, before that was taken off.
        carried: share of a prompt's labelled answers that the policy's mass amounts to, the mean over prompts, of the
            objective with the least.
    """

    prompts: int
    units: int
    answers: int
    labelled: int
    labelled_prompts: int
    labelled_units: int
    labelled_per_prompt: float
    comparisons: int
    clipped: float | None
    mean_ratio: float | None
    split: str
    sketch: tuple[str, ...]
    policy: str
    elsewhere: bool = False
    divided: int = 0
    lost: float = 0.0
    drawn: float = 0.0
    carried: float = 1.0

    @property
    def labels(self) -> Labelled:
        """What estimates from labels rest on."""
        ratios = self.clipped, self.mean_ratio, self.lost
        return Labelled(*ratios, self.labelled_per_prompt, self.drawn, self.carried)

    def counted(self, estimator: str | None) -> tuple[int, int, str]:
        """Prompts that an estimator speaks of, units they were drawn in, and what these are, for people."""
        labels = estimator in LABEL_BASED
        prompts, units = (
            (self.labelled_prompts, self.labelled_units) if labels else (self.prompts, self.units)
        )
        return prompts, units, drawn_as(prompts, units)


@dataclass(frozen=True)
class Levels:
    """How sure each bound must be.

    Attributes:
        joint: of this look, all thresholds together, one-sided.
        each: of one threshold, one-sided.
        next: of one threshold at the next look.
    """

    joint: float
    each: float
    next: float

    @classmethod
    def of(cls, confidence: float, constraints: int, look: Look | None) -> "Levels":
        """Share ``1 - confidence`` out over looks and thresholds."""
        number, total = (1, 1) if look is None else (look.number, look.total)
        joint, later = (
            1.0 - alpha_of_look(1.0 - confidence, which) for which in (number, total + 1)
        )
        return cls(joint, each_level(joint, constraints), each_level(later, constraints))


def certify(
    checks: pd.DataFrame,
    plan: TrainingPlan,
    evidence: Evidence,
    look: Look | None,
    *,
    confidence: float,
    refused: str = "",
) -> Certificate:
    """Say whether all thresholds hold.

    Args:
        checks: every threshold by every estimator, as ``threshold_checks`` gives them.
        plan: names the objectives and their thresholds.
        evidence: behind the estimates.
        look: which look at the test split this is; None where it could not be counted.
        confidence: joint, one-sided, over all thresholds and all looks asked at this one or more.
        refused: why nothing can be certified whatever the values are; empty where something can.
    """
    levels = Levels.of(confidence, len(plan.constrained), look)
    estimator, passed_over = choose_estimator(checks, evidence)
    prompts, units, drawn = evidence.counted(estimator)
    able = estimator not in LABEL_BASED and not bias(LABELS, evidence.labels).why
    instead = labels_instead(checks, *evidence.counted(LABELS)[1:]) if able else ""
    lost = evidence.lost if estimator == DOUBLY_ROBUST else 0.0
    entries = tuple(
        threshold_certificate(row, estimator, plan, levels, drawn, instead, lost)
        for _, row in checks.iterrows()
        if row["objective"] in plan.constrained
    )
    kind = None if estimator is None else KINDS[estimator]
    return Certificate(
        *_joint(entries, estimator, evidence, passed_over, refused),
        confidence=confidence,
        look=None if look is None else look.number,
        looks=0 if look is None else look.total,
        joint=levels.joint,
        level=levels.each,
        estimator=estimator,
        kind=kind,
        passed_over=passed_over,
        prompts=prompts,
        units=units,
        answers=_answers(kind, evidence),
        comparisons=evidence.comparisons,
        thresholds=entries,
        assumed=assumptions(
            estimator,
            units,
            drawn,
            elsewhere=evidence.elsewhere,
            divided=evidence.divided,
            mean_ratio=evidence.mean_ratio if evidence.labels.drawn_by_others else None,
            lost=lost,
            looks=None if look is None else (confidence, look.least),
        ),
        split=evidence.split,
        policy=evidence.policy,
    )


def choose_estimator(
    checks: pd.DataFrame, evidence: Evidence
) -> tuple[str | None, tuple[str, ...]]:
    """The most trusted estimator that can say something of every objective, and why others cannot.

    Labels stand before judges here: what a judge says of new text is not what people would say.
    """
    passed_over: list[str] = []
    for estimator in KINDS:
        if f"{estimator}_value" not in checks:
            continue
        reason = missing(checks, estimator) or bias(estimator, evidence.labels).why
        if not reason:
            return estimator, tuple(passed_over)
        passed_over.append(f"{estimator}: {reason}")
    return None, tuple(passed_over)


def threshold_certificate(
    row: pd.Series,
    estimator: str | None,
    plan: TrainingPlan,
    levels: Levels,
    drawn: str,
    instead: str = "",
    lost: float = 0.0,
) -> ThresholdCertificate:
    """Bounds, verdict and what would help, for one threshold; ``instead`` as ``helps`` takes it, ``lost`` as ``bounds`` does."""
    name, threshold = str(row["objective"]), float(row["threshold"])
    value, se, n, effective, freedom = (
        math.nan if estimator is None else float(row[f"{estimator}_{column}"])
        for column in ("value", "se", "n", "effective", "freedom")
    )
    freedom = n - 1.0 if math.isnan(freedom) else freedom
    low, high = bounds(value, se, n, levels.each, freedom, lost)
    blind = estimator is not None and str(row[f"{estimator}_verdict"]) == UNDECIDED
    known = estimator is not None and n >= MIN_PROMPTS and not blind
    said = verdict(value, low, high, threshold - EDGE) if known else UNDECIDED
    short = said not in (HELD, UNDECIDED)
    again = bounds(value, se, n, levels.next, freedom, lost)[0]
    needed = None
    if short:
        counted = min((freedom + 1.0) / n, 1.0)
        room = value - lost * value - threshold
        needed = prompts_needed(se * math.sqrt(n), room, levels.next, counted)
    doubt = (
        "" if estimator is None else str(row[f"{estimator}_doubt"]) or _contradicted(row, estimator)
    )
    entry = ThresholdCertificate(
        objective=name,
        threshold=threshold,
        value=_known(value),
        se=_known(se),
        lower=_known(low),
        upper=_known(high),
        verdict=said,
        effective_comparisons=_known(effective),
        doubt=doubt,
        shortfall=threshold - low if short else None,
        prompts_needed=needed,
        certifiable=math.floor(again * 1000) / 1000 if short else None,
    )
    return helps(entry, estimator, int(n) if n > 0 else 0, drawn, plan.margin(name), instead)


def _joint(
    entries: tuple[ThresholdCertificate, ...],
    estimator: str | None,
    evidence: Evidence,
    passed_over: tuple[str, ...],
    refused: str,
) -> tuple[str, tuple[str, ...]]:
    if not entries:
        return NOTHING, ()
    if refused:
        return UNDECIDABLE, (refused,)
    if estimator is None:
        return UNDECIDABLE, passed_over or ("no estimator says anything of the policy",)
    _, units, drawn = evidence.counted(estimator)
    if units < MIN_PROMPTS:
        return UNDECIDABLE, (
            f"{units} {drawn}, {MIN_PROMPTS} needed: add prompts, lower ingest.split.train or ingest.split.validation, or "
            "raise evaluate.sampling.prompts where it leaves some out",
        )
    open_ones = [entry for entry in entries if entry.verdict == UNDECIDED]
    if open_ones:
        return UNDECIDABLE, tuple(
            f"{entry.objective}: {entry.doubt or 'no bound'}" for entry in open_ones
        )
    reasons = [
        f"{entry.objective}: {entry.verdict}, lower bound {entry.lower:.3f} against {entry.threshold:.3f}"
        for entry in entries
        if entry.verdict != HELD
    ]
    reasons += [f"{entry.objective}: {entry.doubt}" for entry in entries if entry.doubt]
    return (NOT_CERTIFIED if reasons else CERTIFIED), tuple(reasons)


def _contradicted(row: pd.Series, estimator: str) -> str:
    """Who finds the policy's own answers to miss what labels of the data's answers say; empty where nobody without a doubt does."""
    judges = [e for e in KINDS if estimator == LABELS and e not in LABEL_BASED]
    for judge in judges:
        if row.get(f"{judge}_verdict") == MISSED and not row[f"{judge}_doubt"]:
            value, high = (row[f"{judge}_{column}"] for column in ("value", "ci_high"))
            name = judge.replace("_", " ")
            return f"{CONTRADICTED}, and by the {name} the policy's own are worth {value:.3f}, at most {high:.3f}"
    return ""


def _answers(kind: str | None, evidence: Evidence) -> int | None:
    if kind == "exact":
        return None
    return evidence.labelled if kind == "labelled" else evidence.answers


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
