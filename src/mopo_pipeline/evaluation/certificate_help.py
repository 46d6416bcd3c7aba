"""What a certificate assumes, and what would help where a threshold is not certified."""

import math
from dataclasses import replace

import pandas as pd

from mopo_pipeline.evaluation.certificate import ThresholdCertificate
from mopo_pipeline.evaluation.judge_quality import BLIND, DEPENDENT, UNCALIBRATED
from mopo_pipeline.evaluation.judge_scale import MIN_COMPARISONS
from mopo_pipeline.evaluation.rows import DOUBLY_ROBUST, EXACT, LABEL_BASED, LABELS

ALWAYS = ("looks are counted in this data root; none was taken elsewhere",)

FROM_ELSEWHERE = (
    "the policy was trained elsewhere: neither these test prompts nor a judge that speaks here had a part in that, which "
    "nothing here can check"
)

_ON_SCALE = (
    "word on the policy's answers, on the scale that validation labels give it, is people's; the error of that scale is "
    "in the bounds, no other of the judge's is"
)

CONTRADICTED = "labels speak of the data's answers"
"""How the doubt begins that a judge casts on labels within prompts."""

OF_ESTIMATOR = {
    EXACT: "the task's own preference probabilities are the objectives",
    "rules": "the rules are the objectives",
    DOUBLY_ROBUST: "the data's answers were drawn by the reference, and few ratios are clipped",
    LABELS: "the data's answers were drawn by the reference, and the policy is taken as restricted to those of a prompt "
    "that labels compare",
    "reward_models": f"the reward models' {_ON_SCALE}",
    "chat": f"the chat model's {_ON_SCALE}",
    "own": f"your judge's {_ON_SCALE}",
    "preference_model": f"the preference model's {_ON_SCALE}",
}


def assumptions(
    estimator: str | None,
    units: int,
    drawn: str,
    *,
    elsewhere: bool = False,
    divided: int = 0,
    mean_ratio: float | None = None,
    lost: float = 0.0,
    looks: tuple[float, float] | None = None,
) -> tuple[str, ...]:
    """What no number of a certificate shows, one sentence each.

    Args:
        estimator: it rests on; None where none could say.
        units: independent draws of the test split.
        drawn: what they are, for people.
        elsewhere: whether another trainer made the policy.
        divided: groups with prompts in several splits.
        mean_ratio: at least, where it says that the reference did not draw the data's answers; None where it does not.
        lost: share of what the policy says that its estimator has not seen.
        looks: joint confidence of those asked at it or more, and that of the least sure look at this split; None of none.
    """
    if estimator is None:
        return ()
    independent = (
        f"{drawn} are independent draws of those the policy will meet, and steered nothing"
    )
    normal = f"a mean over {units} {drawn} is nearly normal (Student's t)"
    theirs = (FROM_ELSEWHERE,) if elsewhere else ()
    groups = (_divided(divided),) if divided else ()
    against: tuple[str, ...] = ()
    if estimator in LABEL_BASED and mean_ratio is not None:
        against = (
            f"that the reference drew them is not so: the mean ratio over them is at least {mean_ratio:.2f}, where 1 is "
            "expected, so what the policy says of its own may be worth more or less",
        )
    unseen = (_unseen(lost),) if lost > 0.0 else ()
    rests = (OF_ESTIMATOR[estimator], *unseen, *against)
    looser = (_looser(*looks),) if looks is not None and looks[1] < looks[0] else ()
    return (independent, *groups, *ALWAYS, *looser, *theirs, normal, *rests)


def _looser(confidence: float, least: float) -> str:
    return (
        f"{confidence:.4g} is the confidence of the looks that were asked at that or more; one at these test prompts was asked "
        f"at {least:.4g}, and all of them together are no surer"
    )


def _unseen(lost: float) -> str:
    return (
        f"{lost:.1%} of what the policy says lies beyond clipped ratios, by their mean over the data's answers: bounds "
        "take it to be worth nothing, or everything"
    )


def _divided(groups: int) -> str:
    """What independence asks of groups that splits divide."""
    return (
        f"prompts of a group are no more alike than others ({groups} of the groups in several splits): test prompts are "
        "taken to be drawn one by one, and are not new where training saw others of their group (ingest.split.by: group "
        "keeps groups whole)"
    )


def labels_instead(checks: pd.DataFrame, units: int, drawn: str) -> str:
    """How many labelled prompts would let labels speak where a judge has to; empty where it is not these that are missing.

    Args:
        checks: every threshold by every estimator.
        units: independent draws of the test split that have labels.
        drawn: what they are, for people.
    """
    if f"{LABELS}_effective" not in checks:
        return ""
    effective = float(checks[f"{LABELS}_effective"].min())
    if not 1.0 <= effective < MIN_COMPARISONS:
        return ""
    return (
        f"have {math.ceil(units * MIN_COMPARISONS / effective)} {drawn} labelled in place of {units}, for labels to speak "
        f"instead of a judge ({effective:.0f} effective comparisons now, {MIN_COMPARISONS} needed)"
    )


def helps(
    entry: ThresholdCertificate,
    estimator: str | None,
    units: int,
    drawn: str,
    margin: float,
    instead: str = "",
) -> ThresholdCertificate:
    """The entry with what would help, as it is where nothing is short.

    Args:
        entry: without it.
        estimator: the certificate rests on.
        units: independent draws of the test split.
        drawn: what they are, for people.
        margin: of the plan above this threshold.
        instead: what would let another estimator speak; told where this one is in doubt.
    """
    said: list[str] = []
    if entry.shortfall is not None:
        said += [
            *_more_prompts(entry, estimator, units, drawn),
            *_margin(entry, margin),
            *_weaker(entry, margin),
        ]
        if estimator in LABEL_BASED:
            said.append(_more_labels(entry, units, drawn))
    if entry.doubt.startswith(CONTRADICTED):
        said.append(
            "fit the reference longer to the data (reference.fit.steps), that its answers be the data's, or have answers of "
            "the policy labelled and plan on those"
        )
    elif entry.doubt:
        said += [instead] if instead else []
        said.append(f"{_against(entry)}name another judge in evaluate.judges")
    return replace(entry, helps=tuple(said))


def _against(entry: ThresholdCertificate) -> str:
    """What takes the doubt in a judge away; empty where only another judge does."""
    if entry.doubt.startswith(BLIND):
        return ""
    if entry.doubt == DEPENDENT:
        return "label validation comparisons of every objective, the primary too, for a judge of their own, or "
    split = "validation" if entry.doubt == UNCALIBRATED else "test"
    return f"label more {split} comparisons of {entry.objective} ({MIN_COMPARISONS} at least) or "


def _more_prompts(
    entry: ThresholdCertificate, estimator: str | None, units: int, drawn: str
) -> list[str]:
    """Of a judge's error, that of its scale shrinks with validation labels alone."""
    if entry.prompts_needed is None:
        return []
    exact = estimator == EXACT or estimator in LABEL_BASED
    labels = "" if exact else ", with as many times more validation labels"
    return [
        f"{entry.prompts_needed} {drawn} in place of {units} would certify {entry.objective} at "
        f"{entry.value:.3f} at the next look, by the spread measured here{labels}"
    ]


def _margin(entry: ThresholdCertificate, margin: float) -> list[str]:
    """By what the bound of the next look lacks: another plan is another look, whose level is stricter."""
    if entry.certifiable is None:
        return []
    more = _up(round(margin + entry.threshold - entry.certifiable, 9))
    return [f"a margin in the plan: plan.margins.{entry.objective}={more:.3f} or more"]


def _weaker(entry: ThresholdCertificate, margin: float) -> list[str]:
    """With the margin that leaves what is aimed at as it was: alone it would be aimed at, and missed by as much."""
    if entry.certifiable is None or entry.certifiable <= 0.0:
        return []
    name, kept = entry.objective, margin + entry.threshold - entry.certifiable
    return [
        f"a weaker threshold: the next look would certify plan.thresholds.{name}={entry.certifiable:.3f},"
        f"plan.margins.{name}={kept:.6g}, which aims at the same"
    ]


def _more_labels(entry: ThresholdCertificate, units: int, drawn: str) -> str:
    count = entry.effective_comparisons or 0.0
    times = (entry.prompts_needed / units) if entry.prompts_needed and units else None
    wanted = "" if times is None else f", about {count * times:.0f} on as many {drawn} more"
    return f"more labels of {entry.objective} on {drawn}: {count:.0f} effective comparisons now{wanted}"


def _up(value: float) -> float:
    return -(-value * 1000 // 1) / 1000
